"""LEARN: the check-up and the lessons; each finding closes a leak path."""
