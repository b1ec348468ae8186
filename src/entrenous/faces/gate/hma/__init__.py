"""The gate in the words of Meta's Hasher-Matcher-Actioner (docs/spec/hma.md)."""
