"""What one's own devices tell each other (docs/spec/devices.md section 5)."""
