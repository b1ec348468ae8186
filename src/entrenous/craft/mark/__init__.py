"""Put a mark into a copy; score how loudly each mark is heard."""
