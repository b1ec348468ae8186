"""How we stand with the people we know."""
