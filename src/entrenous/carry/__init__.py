"""CARRY, the relay's rules: accept, hold, hand over, release, expire, withdraw. Reads nothing."""
