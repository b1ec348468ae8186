"""Processes beside a gate that judge uploads for it (docs/decisions/0027)."""
