"""CARRY, the relay: accept, store, deliver, release, withdraw and expire sealed messages."""
