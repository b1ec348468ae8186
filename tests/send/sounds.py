"""A device in memory that opens sounds."""

from dataclasses import replace

from entrenous.craft.media.sound.read import read_sound
from entrenous.ports import Device
from tests.trace.test_trace import offline_device


def device_for_sounds() -> Device:
    """An offline device; tests decode in their own process."""
    return replace(offline_device(), read_sound=read_sound)
