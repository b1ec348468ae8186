"""Look at a message that opens once: a page on this machine, and nothing on its disk."""
