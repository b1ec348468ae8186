"""The platform's banks and reviews: SQLite by SQLAlchemy Core, memory, and the index."""
