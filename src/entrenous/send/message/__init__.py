"""One message on its way: its name, its sealing, and calling it off."""
