"""Bytes and JSON to nouns and back, strictly; every parser is a fuzz target."""
