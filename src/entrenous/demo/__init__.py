"""``entrenous demo``: show what Entrenous is for, as a story with real processes on this machine.

The people, the relay and the gate run the real command line, in separate processes that talk HTTP
over the loopback interface. Each outcome is checked, and the demonstration fails if one is wrong.
"""
