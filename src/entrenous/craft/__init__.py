"""Skills without surroundings: bytes and arrays in, bytes and arrays out."""
