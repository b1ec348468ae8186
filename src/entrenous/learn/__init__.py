"""LEARN: the check-up, which finds leak paths (ways in which private data can get out) and says how
to close them, and the lessons.
"""
