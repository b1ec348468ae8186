"""A person's devices and their signed device lists (docs/spec/identity.md)."""
