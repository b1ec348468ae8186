"""Archives: a user's data, to take to another device or to keep (docs/spec/archive.md)."""
