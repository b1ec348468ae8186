"""Bank exchange over HTTP, in the forms of StopNCII and NCMEC (docs/spec/exchange.md)."""
