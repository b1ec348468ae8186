"""Circles: people whom we send to together (docs/spec/people.md section 1)."""
