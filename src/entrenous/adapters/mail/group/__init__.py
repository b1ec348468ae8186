"""Many requests as one transaction: what they share, and the two ways to run them."""
