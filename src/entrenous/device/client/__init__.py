"""Relays as a device sees them, over HTTP (docs/spec/relay.md)."""
