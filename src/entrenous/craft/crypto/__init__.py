"""Keys, sessions, sealing, signing, hashing: the only importer of cryptographic libraries."""
