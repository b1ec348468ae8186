"""Commands that keep a picture from being uploaded again."""
