"""Sounds to mark, and what becomes of them on their way."""
