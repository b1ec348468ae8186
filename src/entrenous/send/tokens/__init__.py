"""Send tokens: the permissions of others to write to us, and ours to write to others
(docs/spec/letter.md, section 9).
"""
