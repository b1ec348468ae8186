"""Traces are numbered from 1 on, in the order they were made."""

from entrenous.ports import Device


def next_number(device: Device) -> int:
    """The number that the next trace gets."""
    return 1 + max((kept.number for kept in device.ledger.traces()), default=0)
