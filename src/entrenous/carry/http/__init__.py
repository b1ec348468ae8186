"""The relay's HTTP interface (docs/spec/relay.md)."""
