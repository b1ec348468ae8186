"""Watch given addresses politely: pictures are compared by fingerprint, and nothing received is
stored.
"""
