"""LEARN: the check-up, which finds leak paths and says how to close them, and the lessons."""
