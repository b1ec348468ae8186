"""Strict conversions between bytes or JSON and dataclasses; every parser is a fuzz target."""
