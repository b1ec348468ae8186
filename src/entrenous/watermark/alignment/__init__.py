"""Image registration: how a found picture lies on the sent one, to a fraction of a pixel."""
