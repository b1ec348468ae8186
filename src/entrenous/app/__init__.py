"""The web app: everything that a person can do, as pages in their own browser, served on this
machine only.
"""
