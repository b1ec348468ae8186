"""A user's own machine: the folder, the vault and its lock, and the ledger of copies."""
