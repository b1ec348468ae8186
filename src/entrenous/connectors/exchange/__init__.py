"""Bank exchange over HTTP, with StopNCII, NCMEC and ThreatExchange (docs/spec/exchange.md)."""
