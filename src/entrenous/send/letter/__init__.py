"""Letters: written, read, and what each kind of them does."""
