"""Letters that name a list, of ours or of their sender's, which we do not know: kept until we do.

One of our devices signed it and people write by it already, or one of theirs was linked and writes
to us: and the letter that tells of it has not come, as when its writer had no token left, or her
relay was away. Once the list is known they open like any other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.envelope import Waiting
from entrenous.model.errors import EntrenousError
from entrenous.model.letter import PersonHead
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import LATE, lay, take_all
from entrenous.send.letter.aside import put_aside
from entrenous.send.moment import this_second
from entrenous.send.odd_clock import believed_now
from entrenous.spec import LATE_DAYS

_LATE_MAX: Final = 64  # of up to 160 KiB each
_OF_ONE_MAX: Final = 16  # by one person, or whoever says that they are


@dataclass(frozen=True, slots=True)
class LateLetter:
    """One of them, the list that it waits for, who says that they wrote it, and since when it is
    kept.
    """

    waiting: Waiting
    lacks: PersonHead
    by: bytes
    since: datetime


def keep_for_later(waiting: Waiting, why: EntrenousError, device: Device) -> bool:
    """Whether a letter that was not taken is kept, since the list that it names may come; call it
    in a transaction. Only of people whom we know.
    """
    lacks, by = why.facts.get("lacks"), why.facts.get("by")
    if not isinstance(lacks, PersonHead) or not isinstance(by, bytes):
        return False
    writer = contact_of(by, device)
    if writer is None or writer.blocked or lacks.epoch <= _known_epoch(lacks, device):
        return False
    kept = list(take_all(LateLetter, LATE, device.vault))
    if len(kept) >= _LATE_MAX or sum(late.by == by for late in kept) >= _OF_ONE_MAX:
        return False
    late = LateLetter(waiting, lacks, by, this_second(device))
    lay(late, LATE, waiting.id.hex(), device.vault)
    return True


def take_late(device: Device) -> tuple[Waiting, ...]:
    """Those that can be opened now, in the order in which they came to a mailbox. What was kept for
    too long counts as what could not be opened.
    """
    now, due = believed_now(device), list[Waiting]()
    for late in take_all(LateLetter, LATE, device.vault):
        key = late.waiting.id.hex()
        if late.lacks.epoch <= _known_epoch(late.lacks, device):
            due.append(late.waiting)
        elif now - late.since > timedelta(days=LATE_DAYS):
            with device.vault.together():
                put_aside(key, device)
                device.vault.drop(LATE, key)
    return tuple(sorted(due, key=lambda waiting: waiting.sequence))


def _known_epoch(lacks: PersonHead, device: Device) -> int:
    me = who_am_i(device)
    if lacks.person == me.person.id:
        return me.person.epoch
    contact = contact_of(lacks.person, device)
    return 0 if contact is None else contact.person.epoch
