"""Rows and files of a device: the SQLCipher vault, its folder, and the ledger."""
