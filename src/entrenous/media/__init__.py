"""Decode and encode pictures, clips and sounds without metadata.

Untrusted files are decoded in a sandbox.
"""
