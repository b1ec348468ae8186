"""Letters that came and could not be opened: their number, until somebody has been told of it.

Their bytes are not kept: the keys that would open them do not come back.
"""

from typing import Final

from entrenous.ports import Device
from entrenous.send.drawers import ASIDE

_UNTOLD_MAX: Final = 1000  # whoever may write to us must not fill the vault with what is none


def put_aside(envelope: str, device: Device) -> None:
    """Count a letter that could not be opened."""
    if len(list(device.vault.items(ASIDE))) < _UNTOLD_MAX:
        device.vault.put(ASIDE, envelope, b"")


def take_from_aside(device: Device) -> int:
    """How many letters could not be opened since this was last asked."""
    with device.vault.together():
        untold = [key for key, _ in device.vault.items(ASIDE)]
        for key in untold:
            device.vault.drop(ASIDE, key)
    return len(untold)
