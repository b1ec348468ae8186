"""A person's devices, and the lists that say which they are (docs/spec/identity.md)."""
