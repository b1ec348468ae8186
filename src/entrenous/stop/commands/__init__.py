"""Commands that keep a picture from being uploaded again, and those of a platform's gate."""
