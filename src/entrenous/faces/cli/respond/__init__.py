"""Commands for somebody whose picture has leaked."""
