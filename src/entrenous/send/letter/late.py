"""Letters that were written under a list of ours which we do not know yet: kept until we do.

One of our devices signed it, people write by it already, and its own letter has not come here: as
when it had no token left for this one. Once the list is known they open like any other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.device_list import Head
from entrenous.model.envelope import Waiting
from entrenous.model.errors import EntrenousError
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import LATE, lay, take_all
from entrenous.send.letter.aside import put_aside
from entrenous.send.moment import this_second
from entrenous.spec import LATE_DAYS

_LATE_MAX: Final = 64  # of up to 160 KiB, from whoever may write to us


@dataclass(frozen=True, slots=True)
class LateLetter:
    """One of them, the list that it was written to, and since when it is kept."""

    waiting: Waiting
    written_to: Head
    since: datetime


def keep_for_later(waiting: Waiting, why: EntrenousError, device: Device) -> bool:
    """Whether a letter that was not taken is kept, since the list that it names may come; call it
    in a transaction.
    """
    named, key = why.facts.get("ours"), waiting.id.hex()
    if not isinstance(named, Head) or named.epoch <= who_am_i(device).person.epoch:
        return False
    if len(device.vault.keys(LATE)) >= _LATE_MAX:
        return False
    lay(LateLetter(waiting, named, this_second(device)), LATE, key, device.vault)
    return True


def take_late(device: Device) -> tuple[Waiting, ...]:
    """Those that can be opened now, in the order in which they came. What was kept for too long
    counts as what could not be opened.
    """
    epoch, now = who_am_i(device).person.epoch, device.clock.now()
    due = list[Waiting]()
    for late in take_all(LateLetter, LATE, device.vault):
        key = late.waiting.id.hex()
        if late.written_to.epoch <= epoch:
            due.append(late.waiting)
        elif now - late.since > timedelta(days=LATE_DAYS):
            with device.vault.together():
                put_aside(key, device)
                device.vault.drop(LATE, key)
    return tuple(sorted(due, key=lambda waiting: waiting.sequence))
