"""That somebody's keys changed: noted when it is seen, and told once (docs/spec/people.md 4)."""

from dataclasses import replace
from typing import Final

from entrenous.model.changed import Changed, Contradiction, Moving
from entrenous.model.person import Contact, Trust
from entrenous.ports import Device
from entrenous.send.drawers import CHANGED, lay, take_all
from entrenous.send.moment import this_second

_UNTOLD_MAX: Final = 1000  # whoever may write to us must not fill the vault


def note_change(before: Contact, after: Contact, device: Device) -> Contact:
    """``after``, with the moment if it has other devices or became unknown; call it in the
    transaction that stores it.
    """
    old = {key.keys for key in before.person.devices}
    new = {key.keys for key in after.person.devices}
    in_doubt = before.trust is not Trust.UNKNOWN and after.trust is Trust.UNKNOWN
    if old == new and not in_doubt:
        return after
    now = this_second(device)
    changed = Changed(after.name, now, len(new - old), len(old - new), in_doubt)
    _note(changed, device)
    return replace(after, changed_at=now)


def note_contradiction(name: str | None, lists: Contradiction, device: Device) -> None:
    """Have it told once that something is wrong with somebody's lists; None: with our own."""
    _note(Changed(name or "", this_second(device), 0, 0, in_doubt=False, lists=lists), device)


def note_renamed(was: str, name: str, device: Device) -> None:
    """Have it told once that somebody, or a circle, is called otherwise, since another is called
    so; call it in the transaction that does it.
    """
    _note(Changed(name, this_second(device), 0, 0, in_doubt=False, was=was), device)


def note_moving(relay_url: str, moving: Moving, device: Device) -> None:
    """Have it told once that this device follows another one of ours; call it in the transaction
    that does it.
    """
    _note(Changed(relay_url, this_second(device), 0, 0, in_doubt=False, moving=moving), device)


def take_changes(device: Device) -> tuple[Changed, ...]:
    """What changed since this was last asked, the oldest first."""
    with device.vault.together():
        changes = tuple(take_all(Changed, CHANGED, device.vault))
        for key in device.vault.keys(CHANGED):
            device.vault.drop(CHANGED, key)
    return changes


def _note(changed: Changed, device: Device) -> None:
    untold = device.vault.keys(CHANGED)
    if len(untold) < _UNTOLD_MAX:
        number = int(untold[-1]) + 1 if untold else 0
        lay(changed, CHANGED, f"{number:012d}", device.vault)
