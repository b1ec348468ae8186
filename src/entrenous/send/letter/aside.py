"""Letters that came and could not be opened: their number, until somebody has been told of it.

Their bytes are not kept: the keys that would open them do not come back. So it is with what opened
and only a newer program knows what to do with.
"""

from typing import Final

from entrenous.model.notes import NeedsUpdate
from entrenous.ports import Device
from entrenous.send.drawers import ASIDE, NEWER

_UNTOLD_MAX: Final = 1000  # whoever may write to us must not fill the vault with what is none


def put_aside(envelope: str, device: Device) -> None:
    """Count a letter that could not be opened."""
    if len(list(device.vault.items(ASIDE))) < _UNTOLD_MAX:
        device.vault.put(ASIDE, envelope, b"")


def take_from_aside(device: Device) -> int:
    """How many letters could not be opened since this was last asked."""
    return _emptied(ASIDE, device)


def put_newer(envelope: str, device: Device) -> None:
    """Count a letter that only a newer program knows what to do with."""
    if len(device.vault.keys(NEWER)) < _UNTOLD_MAX:
        device.vault.put(NEWER, envelope, b"")


def take_newer(device: Device) -> tuple[NeedsUpdate, ...]:
    """That this program should be updated, once, if something came that it does not know."""
    return (NeedsUpdate(),) if _emptied(NEWER, device) else ()


def _emptied(drawer: str, device: Device) -> int:
    with device.vault.together():
        untold = device.vault.keys(drawer)
        for key in untold:
            device.vault.drop(drawer, key)
    return len(untold)
