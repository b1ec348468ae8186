"""The relay's HTTP."""
