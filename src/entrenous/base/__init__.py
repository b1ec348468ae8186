"""Shared by all packages: identifiers, errors, secrets, and types that several packages need."""
