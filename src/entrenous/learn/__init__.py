"""LEARN: the check-up; each finding closes a leak path."""
