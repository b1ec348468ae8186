"""Linking a further device of the same person (docs/spec/devices.md section 2)."""
