"""Strict conversions between bytes or JSON and nouns; every parser is a fuzz target."""
