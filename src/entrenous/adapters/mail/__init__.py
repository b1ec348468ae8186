"""The relay's rows: ``MailStore`` in SQLite with group commit, and in memory."""
