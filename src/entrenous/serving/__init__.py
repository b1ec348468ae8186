"""Code that all servers share: HTTP limits, TLS, logs, and checks of the host."""
