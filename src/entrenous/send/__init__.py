"""Messages between people: draft, send, fetch, open, recall; devices, contacts and send tokens."""
