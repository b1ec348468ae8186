"""Sounds as files: read without metadata, in a jailed child if a stranger made them; written."""
