"""Make sure that nobody stands between two people (docs/spec/people.md section 3)."""
