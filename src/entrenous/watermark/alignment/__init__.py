"""Image registration: the position of a found picture on the sent one, to a fraction of a pixel."""
