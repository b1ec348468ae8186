"""``entrenous demo``: the main job, told as a story with real processes on this machine.

Every step runs the real command line in processes of its own, over loopback HTTP, and is checked:
the demonstration fails when an outcome is not what it should be.
"""
