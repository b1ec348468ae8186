"""Decode and encode pictures, clips and sounds without metadata; untrusted files in a sandbox."""
