"""Commands that say whose copy a leak is."""
