"""Commands about this device."""
