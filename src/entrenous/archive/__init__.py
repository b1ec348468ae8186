"""Archives of a user's data, to move it to another device or to keep it (docs/spec/archive.md)."""
