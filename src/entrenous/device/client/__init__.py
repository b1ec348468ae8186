"""The device's HTTP client for relays (docs/spec/relay.md)."""
