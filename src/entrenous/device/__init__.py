"""A user's own device: its folder, its vault and the vault's lock, and the ledger of copies."""
