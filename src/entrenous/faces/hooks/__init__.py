"""What stands in front of a platform's uploads and asks its gate: one module per kind of server.

A hook is loaded into somebody else's server. So each imports only the standard library, httpx, what
reads a form, and the server it is for.
"""
