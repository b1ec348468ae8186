"""An in-memory device that decodes sounds without a decoder subprocess."""

from dataclasses import replace

from entrenous.device.device import Device
from entrenous.media.sound_reader import read_sound
from tests.trace.test_trace_picture import offline_device


def device_for_sounds() -> Device:
    """Return an offline device that decodes sounds without a decoder subprocess."""
    return replace(offline_device(), read_sound=read_sound)
