"""SEND: compose, guard against the wrong recipient, send, fetch, open, take back (the device)."""
