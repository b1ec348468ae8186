"""RESPOND: open a case, preserve evidence, choose a legal route, draft a notice, and count
deadlines.
"""
