"""Check that a received file is a complete copy as this program writes one, and nothing else."""
