"""The child process that decodes: its walls, its answers. ``jail.py`` starts it."""
