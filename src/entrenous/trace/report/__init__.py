"""A finding that others can recompute: disclosed, examined again, compared."""
