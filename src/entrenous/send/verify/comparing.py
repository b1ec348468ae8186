"""A comparing of keys as this device keeps it, and what it is about."""

from datetime import timedelta

from entrenous.craft.crypto.short_string import agreement, short_string
from entrenous.craft.wire.identity.compare import write_transcript
from entrenous.model.compare import Comparing, ShortString
from entrenous.model.ids import PersonId
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import COMPARE, lay, take
from entrenous.spec import COMPARE_HOURS


def comparing_with(person: PersonId, device: Device) -> Comparing | None:
    """The comparing with a person that has not run out; None if there is none."""
    found = take(Comparing, COMPARE, person.hex(), device.vault)
    if found is None or device.clock.now() - found.began_at > timedelta(hours=COMPARE_HOURS):
        return None
    return found


def keep_comparing(person: PersonId, comparing: Comparing, device: Device) -> None:
    """Store how far it has come."""
    lay(comparing, COMPARE, person.hex(), device.vault)


def drop_comparing(person: PersonId, device: Device) -> None:
    """It is over."""
    device.vault.drop(COMPARE, person.hex())


def string_of(comparing: Comparing, person: PersonId, device: Device) -> ShortString:
    """What both people should see.

    Raises:
        BadKey.
    """
    return short_string(
        comparing.private, _theirs(comparing), _transcript(comparing, person, device)
    )


def proof_of_ours(comparing: Comparing, person: PersonId, device: Device) -> bytes:
    """Our word that it is the same, 32 bytes.

    Raises:
        BadKey.
    """
    return _proof(comparing, person, who_am_i(device).person.id, device)


def proof_of_theirs(comparing: Comparing, person: PersonId, device: Device) -> bytes:
    """What their word would be, 32 bytes.

    Raises:
        BadKey.
    """
    return _proof(comparing, person, person, device)


def _proof(comparing: Comparing, person: PersonId, by: PersonId, device: Device) -> bytes:
    transcript = _transcript(comparing, person, device)
    return agreement(comparing.private, _theirs(comparing), transcript, by)


def _theirs(comparing: Comparing) -> bytes:
    if comparing.theirs is None:
        raise LookupError("their key comes before there is something to compare")
    return comparing.theirs.public


def _transcript(comparing: Comparing, person: PersonId, device: Device) -> bytes:
    if comparing.mine is None or comparing.theirs is None:
        raise LookupError("both keys come before there is something to compare")
    ours, theirs = (who_am_i(device).person.id, comparing.mine), (person, comparing.theirs)
    starter, other = (ours, theirs) if comparing.starter else (theirs, ours)
    return write_transcript(comparing.transaction, starter, other)
