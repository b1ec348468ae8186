"""The child process that decodes: its walls, its answers. ``jail.py`` and ``jails.py`` start it."""
