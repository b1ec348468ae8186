"""Captures of public pages, made by this program or saved by the person in a browser."""
