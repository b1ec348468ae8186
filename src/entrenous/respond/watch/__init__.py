"""Watch the addresses of sightings politely: pictures are compared by fingerprint, and no page and
no picture is stored.
"""
