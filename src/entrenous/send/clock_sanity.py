"""Check whether this device's clock can be right, and round times for the wire
(docs/spec/README.md).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.device.device import Device
from entrenous.device.vault_tables import SELF, load_record, store_record

#: For so long a relay keeps anything that is on its way; a day of it is for clocks.
LONGEST_ON_ITS_WAY: Final = timedelta(days=EXPIRY_DAYS_MAX + 1)


def this_second(device: Device) -> datetime:
    """Now, without the fraction that the wire formats do not carry."""
    return device.clock.now().replace(microsecond=0)


def plain_until(device: Device, keep_days: int = EXPIRY_DAYS_MAX) -> datetime:
    """The end of a letter without content, at a relay that takes so many days: a day less, or half
    of them where that is more, so that a clock which is off by hours does not matter.
    """
    taken = timedelta(days=keep_days)
    return this_second(device) + taken - min(timedelta(days=1), taken / 2)


def open_until(days: int, device: Device) -> datetime:
    """The end of so many days, at a whole hour: the next one, or the last where no relay keeps
    anything for longer.

    A relay sees this time at every copy. A second would tell it which copies are one message's; an
    hour has many messages.
    """
    now = device.clock.now()
    until = (now + timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    later = until + timedelta(hours=1)
    return later if later <= now + timedelta(days=EXPIRY_DAYS_MAX) else until


_CLOCK: Final = "clock"
_BELIEVED_AFTER: Final = timedelta(hours=1)
_NOTED_EVERY: Final = timedelta(hours=1)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SeenClock:
    """What the clock said when letters were last looked for; since when by it its word is odd; and
    what it said before that, which is believed meanwhile (None: nothing is known to be over).
    """

    at: datetime
    odd_since: datetime | None = None
    believed: datetime | None = None

    def at_last(self, now: datetime) -> "SeenClock":
        """The same, once the clock says ``now``."""
        odd, base = self.odd_since, self.at
        if odd is not None and odd <= now < odd + _BELIEVED_AFTER:
            return replace(self, at=now)
        if odd is not None and now < odd:
            base = self.believed or now  # it was set back: perhaps it is right again
        # By then all that was there has expired, so nothing depends on the difference.
        if abs(now - base) > LONGEST_ON_ITS_WAY:
            return SeenClock(now, now, min(base, now))
        return SeenClock(now)


def note_clock(device: Device) -> None:
    """Remember what the clock says, whenever letters are looked for."""
    seen, now = load_record(SeenClock, SELF, _CLOCK, device.vault), device.clock.now()
    after = SeenClock(now) if seen is None else seen.at_last(now)
    is_news = seen is None or (after.odd_since, after.believed) != (seen.odd_since, seen.believed)
    if seen is None or is_news or abs(now - seen.at) >= _NOTED_EVERY:
        store_record(after, SELF, _CLOCK, device.vault)


def is_clock_odd(device: Device) -> bool:
    """Whether the clock is more than a month away from when letters were looked for before, now or
    within the last hour. Who was away for so long is believed an hour later.
    """
    return _now_seen(device).odd_since is not None


def believed_now(device: Device) -> datetime:
    """Until when time has surely passed: now, or what an odd clock said before it was that. What
    cannot be undone is done by this.
    """
    seen = _now_seen(device)
    return seen.at if seen.odd_since is None else seen.believed or _LONG_AGO


def is_lately(at: datetime, within: timedelta, device: Device) -> bool:
    """Whether it is less than that ago. What lies in the future was noted by a clock that was
    ahead, and is not: else it would be lately for as long.
    """
    return timedelta() <= device.clock.now() - at < within


def _now_seen(device: Device) -> SeenClock:
    """As if letters were looked for now; nothing is stored."""
    seen, now = load_record(SeenClock, SELF, _CLOCK, device.vault), device.clock.now()
    return SeenClock(now) if seen is None else seen.at_last(now)
