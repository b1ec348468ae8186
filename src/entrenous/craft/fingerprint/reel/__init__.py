"""A video as the PDQ hashes of its frames."""
