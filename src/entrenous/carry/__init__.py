"""CARRY, the relay: accept, hold, hand over, release, withdraw, expire. It reads nothing."""
