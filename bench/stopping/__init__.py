"""What bench/stop.py measures: the index and its peers, hashing, how fast a claim acts, recall."""
