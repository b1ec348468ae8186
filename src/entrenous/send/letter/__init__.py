"""Letters: write and read them, and apply each kind."""
