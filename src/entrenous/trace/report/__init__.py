"""A finding that others can repeat: disclosed, examined again, compared."""
