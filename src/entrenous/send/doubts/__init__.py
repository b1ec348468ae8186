"""What the guard may find odd about a draft: one reason in each file (docs/spec/people.md 2)."""
