"""Mark each copy of a picture, clip or sound, and find out whose copy was leaked."""
