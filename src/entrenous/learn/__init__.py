"""LEARN: the check-up, whose findings each say how to close a leak path, and the lessons."""
