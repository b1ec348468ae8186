"""A picture as 512 numbers that a network gives it: kept as bytes, compared by their angle."""
