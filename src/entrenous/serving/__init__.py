"""What every server of ours shares: HTTP limits, TLS, logs, checks of the host."""
