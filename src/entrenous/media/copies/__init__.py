"""Check that a received file is a complete copy as this program writes it, and nothing else."""
