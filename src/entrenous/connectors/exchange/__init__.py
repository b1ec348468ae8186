"""Exchange banks of fingerprints with other platforms over HTTP (docs/spec/exchange.md)."""
