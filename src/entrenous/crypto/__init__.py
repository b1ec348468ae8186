"""Hashes, keys, signatures and encryption: the only importer of cryptographic libraries."""
