"""People and circles: invite, compare keys, block (docs/spec/people.md)."""
