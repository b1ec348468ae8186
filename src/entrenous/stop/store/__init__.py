"""The platform's database: SQLite or PostgreSQL by SQLAlchemy Core."""
