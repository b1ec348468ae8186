"""Ways to look at an upload again, slowly: for what the hash of the whole does not forgive."""
