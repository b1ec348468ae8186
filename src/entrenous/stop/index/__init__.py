"""The index of registered hashes: an immutable shared base, and recent changes in memory."""
