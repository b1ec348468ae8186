"""Captures of public pages: by this program, or saved by the person in a browser."""
