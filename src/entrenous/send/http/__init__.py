"""A local web page that shows a view-once message without writing it to disk
(docs/spec/content.md, section 7).
"""
