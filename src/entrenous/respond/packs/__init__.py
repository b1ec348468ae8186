"""Packs: a case's evidence for a platform, or for a court or the police (docs/spec/pack.md)."""
