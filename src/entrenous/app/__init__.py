"""The web app: everything that a person can do, as pages in their own browser. Only this machine
serves them and can open them.
"""
