"""The platform's database: SQLite or PostgreSQL through SQLAlchemy Core."""
