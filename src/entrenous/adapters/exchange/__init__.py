"""Exchanges: what is kept of partners and sources, and how other exchanges are asked."""
