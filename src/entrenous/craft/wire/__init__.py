"""Bytes to nouns and back, strictly: one file per format, every parser a fuzz target."""
