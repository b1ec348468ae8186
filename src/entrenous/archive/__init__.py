"""Archives: what a person takes to another device, or keeps (docs/spec/archive.md)."""
