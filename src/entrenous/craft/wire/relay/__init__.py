"""The JSON of the relay's interface (docs/spec/relay.md)."""
