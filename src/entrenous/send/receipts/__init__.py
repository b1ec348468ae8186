"""Receipts: what recipients' devices say became of a copy (docs/spec/receipts.md)."""
