"""Decode and encode pictures; strip metadata; strangers' bytes are decoded in a jailed child."""
