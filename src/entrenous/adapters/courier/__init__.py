"""Relays as a device sees them: ``Courier`` over HTTP, and to applications in this process."""
