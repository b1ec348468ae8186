"""The world: SQLite, SQLCipher, files, HTTP, RFC 3161, clock, memory."""
