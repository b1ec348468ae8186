"""Find out whose copy a found picture, clip or sound is."""
