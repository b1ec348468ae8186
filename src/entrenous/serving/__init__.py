"""Shared by all servers: HTTP limits, TLS, logs, checks of the host."""
