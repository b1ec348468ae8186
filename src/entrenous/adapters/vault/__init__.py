"""The device's store: ``Vault`` on SQLCipher and in memory, and the ``Ledger`` on any vault."""
