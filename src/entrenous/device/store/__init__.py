"""A device's storage: the SQLCipher vault, its folder, and the ledger of sent copies."""
