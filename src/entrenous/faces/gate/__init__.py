"""The platform's HTTP: the upload gate."""
