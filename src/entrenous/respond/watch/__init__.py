"""Watching given addresses: politely, compared by fingerprint, and nothing kept of what came."""
