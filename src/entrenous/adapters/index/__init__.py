"""IndexStore on files: an immutable base that processes share, and what came since, in memory."""
