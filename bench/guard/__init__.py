"""The guard, measured on a simulated year of one person (docs/spec/people.md section 2)."""
