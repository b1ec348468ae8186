"""Times as they travel: whole seconds (docs/spec/README.md), or hours if a relay sees them."""

from datetime import datetime, timedelta
from typing import Final

from entrenous.ports import Device
from entrenous.spec import EXPIRY_DAYS_MAX

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
