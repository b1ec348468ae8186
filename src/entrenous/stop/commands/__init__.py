"""The commands ``protect`` and ``unprotect``, and the commands of a platform's gate."""
