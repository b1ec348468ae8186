"""``entrenous demo``: show what Entrenous is for, as a story with real processes on this machine.

Every step runs the real command line in processes that talk HTTP over the loopback. Each outcome is
checked, and the demonstration fails if one is wrong.
"""
