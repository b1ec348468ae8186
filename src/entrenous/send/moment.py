"""Times as they travel: whole seconds (docs/spec/README.md)."""

from datetime import datetime

from entrenous.ports import Device


def this_second(device: Device) -> datetime:
    """Now, without the fraction that the wire formats do not carry."""
    return device.clock.now().replace(microsecond=0)
