"""Messages between people: from a draft to the relay's disk, and from there to the recipient's
screen.
"""
