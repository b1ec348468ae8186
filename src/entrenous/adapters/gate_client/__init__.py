"""A platform's gate as the platform's own servers ask it about an upload."""
