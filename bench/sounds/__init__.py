"""Sounds to mark, attacks on them, and a model of hearing that rates the result."""
