"""The relay's rows in SQLite or PostgreSQL, and its blobs in files or S3."""
