"""A page on this machine for a message that opens once; nothing is written to its disk
(docs/spec/content.md, section 7).
"""
