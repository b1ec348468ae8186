"""What a leak tells of a mark, before anybody knows a key."""
