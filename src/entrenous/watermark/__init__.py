"""Mark each copy of a picture, clip or sound, and decide from a leak whose copy it is."""
