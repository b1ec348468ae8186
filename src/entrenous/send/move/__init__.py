"""Moving to another relay without losing people (docs/spec/devices.md section 7)."""
