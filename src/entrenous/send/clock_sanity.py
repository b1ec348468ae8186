"""Check whether this device's clock is plausible, and round times for the wire
(docs/spec/README.md).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.device.device import Device
from entrenous.device.vault_tables import OwnRecord

#: The longest time that a relay keeps an envelope, plus a day for clock errors.
MAX_TIME_IN_TRANSIT: Final = timedelta(days=EXPIRY_DAYS_MAX + 1)


def now_in_whole_seconds(device: Device) -> datetime:
    """Return the current time in whole seconds, the resolution of the wire formats."""
    return device.clock.now().replace(microsecond=0)


def contentless_letter_expiry(device: Device, keep_days: int = EXPIRY_DAYS_MAX) -> datetime:
    """Return the expiry of a letter that brings no message (such as a hello), at a relay that
    keeps letters for ``keep_days``.

    The expiry is before the relay's limit: by one day, or by half of ``keep_days`` if that is
    shorter. So a clock that is off by a few hours does not matter.
    """
    taken = timedelta(days=keep_days)
    return now_in_whole_seconds(device) + taken - min(timedelta(days=1), taken / 2)


def rounded_expiry(days: int, device: Device) -> datetime:
    """Return the time ``days`` from now, rounded up to a whole hour.

    It is rounded down if rounding up would exceed the relay's limit.

    The relay sees this time on every copy. A time in seconds would reveal which copies belong to
    the same message; many messages share the same hour.
    """
    now = device.clock.now()
    until = (now + timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    later = until + timedelta(hours=1)
    return later if later <= now + timedelta(days=EXPIRY_DAYS_MAX) else until


_JUMPED_CLOCK_TRUSTED_AFTER: Final = timedelta(hours=1)
_CLOCK_RECORD_INTERVAL: Final = timedelta(hours=1)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The latest reading of the clock that was recorded: at a fetch, or during the set-up.

    After an implausible jump, ``odd_since`` is the first reading after it, and ``believed`` is the
    earlier of the readings before and after it. For one hour, ``believed`` is used in place of the
    clock. If the clock is plausible, both are None.
    """

    at: datetime
    odd_since: datetime | None = None
    believed: datetime | None = None

    def next_reading(self, now: datetime) -> "ClockReading":
        """Return the state after the clock reads ``now``."""
        odd, base = self.odd_since, self.at
        if odd is not None and odd <= now < odd + _JUMPED_CLOCK_TRUSTED_AFTER:
            return replace(self, at=now)
        if odd is not None and now < odd:
            base = self.believed or now  # the clock was set back, perhaps to the right time
        # After a jump of this length, everything that was in transit would count as expired.
        if abs(now - base) > MAX_TIME_IN_TRANSIT:
            return ClockReading(now, now, min(base, now))
        return ClockReading(now)


_CLOCK_READING_RECORD: Final = OwnRecord("clock", ClockReading)


def record_clock(device: Device) -> None:
    """Record the clock's reading at a fetch or during the set-up.

    A reading is stored at most once an hour, except after a jump.
    """
    seen, now = _CLOCK_READING_RECORD.load(device.vault), device.clock.now()
    after = ClockReading(now) if seen is None else seen.next_reading(now)
    is_changed = seen is None or (after.odd_since, after.believed) != (
        seen.odd_since,
        seen.believed,
    )
    if seen is None or is_changed or abs(now - seen.at) >= _CLOCK_RECORD_INTERVAL:
        _CLOCK_READING_RECORD.store(after, device.vault)


def is_clock_implausible(device: Device) -> bool:
    """Return whether the clock jumped by more than 31 days since the reading recorded last, or at
    a fetch within the last hour.

    So after a device was off for more than 31 days, its clock is trusted again an hour after the
    first fetch.
    """
    return _current_clock_reading(device).odd_since is not None


def time_certainly_passed(device: Device) -> datetime:
    """Return the latest time that has certainly passed: now, or after an implausible jump the
    earlier of the readings before and after it. Use this time for anything that cannot be undone.
    """
    seen = _current_clock_reading(device)
    return seen.at if seen.odd_since is None else seen.believed or _UNIX_EPOCH


def is_recent(at: datetime, within: timedelta, device: Device) -> bool:
    """Return whether ``at`` is less than ``within`` ago.

    A future time does not count as recent. It was recorded while the clock was ahead, and would
    otherwise stay recent until that time.
    """
    return timedelta() <= device.clock.now() - at < within


def _current_clock_reading(device: Device) -> ClockReading:
    """Return the state that a fetch would record now; store nothing."""
    seen, now = _CLOCK_READING_RECORD.load(device.vault), device.clock.now()
    return ClockReading(now) if seen is None else seen.next_reading(now)
