"""Whether this device's clock can be right: what has expired by it is removed for good, so a clock
that is once set wrong must not do that.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.ports import Device
from entrenous.send.drawers import SELF, lay, take
from entrenous.send.moment import LONGEST_ON_ITS_WAY

_CLOCK: Final = "clock"
_BELIEVED_AFTER: Final = timedelta(hours=1)
_NOTED_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SeenClock:
    """What the clock said when letters were last looked for; since when by it its word is odd."""

    at: datetime
    odd_since: datetime | None = None


def note_clock(device: Device) -> None:
    """Remember what the clock says, whenever letters are looked for."""
    last, now = take(SeenClock, SELF, _CLOCK, device.vault), device.clock.now()
    if last is None:
        lay(SeenClock(now), SELF, _CLOCK, device.vault)
        return
    # By then all that was there has expired, so nothing depends on the difference.
    odd = now if now - last.at > LONGEST_ON_ITS_WAY else last.odd_since
    if odd is not None and not odd <= now < odd + _BELIEVED_AFTER:
        odd = None  # it is right again, or was right all along
    if odd != last.odd_since or abs(now - last.at) >= _NOTED_EVERY:
        lay(SeenClock(now, odd), SELF, _CLOCK, device.vault)


def is_clock_odd(device: Device) -> bool:
    """Whether the clock is more than a month ahead of when letters were looked for before. Who was
    away for so long is believed an hour later.
    """
    seen = take(SeenClock, SELF, _CLOCK, device.vault)
    return seen is not None and seen.odd_since is not None
