"""``entrenous demo``: the main job, told as a story with real processes on this machine.

Every step runs the real command line in its own processes over loopback HTTP, and is checked: the
demonstration fails if an outcome is wrong.
"""
