"""What a relay's clock refuses: too many days were chosen, or that clock and ours differ.

How far they are apart is not known: what a relay says of its time could be anything, and a letter
that is dated by it would tell of us.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

from entrenous.model.errors import EntrenousError
from entrenous.model.message import UnknownMessage
from entrenous.model.outbox import Posting
from entrenous.model.relay_problem import ClocksDiffer, Expired, TooFarAhead, WaitedTooLong
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.moment import plain_until
from entrenous.spec import EXPIRY_DAYS_MAX

_GRACE: Final = timedelta(hours=1)  # beyond its days (docs/spec/relay.md section 5)
Kind = TypeVar("Kind", bound=ClocksDiffer)


def dated_anew(posting: Posting, why: TooFarAhead | Expired, device: Device) -> Posting | None:
    """A letter without content, with an end that its relay may take, after it refused the one that
    it had; None if by our clock that one should do.
    """
    had = posting.envelope.expires_at
    if isinstance(why, Expired):
        until = plain_until(device)
        helps = had <= device.clock.now()
    else:
        until = plain_until(device, _kept_days(why))
        helps = until < had
    envelope = replace(posting.envelope, expires_at=until)
    return replace(posting, envelope=envelope) if helps else None


def why_refused(
    why: TooFarAhead | Expired, posting: Posting, copy: SealedCopy, device: Device
) -> EntrenousError:
    """The refusal of a copy's date as its sender should read it."""
    until, now = posting.envelope.expires_at, device.clock.now()
    if isinstance(why, Expired) and until <= now:
        return WaitedTooLong()
    if isinstance(why, TooFarAhead):
        longest = timedelta(days=_kept_days(why)) + _GRACE
        if until - _sent_at(copy, device) > longest:
            return TooFarAhead(limit_days=_kept_days(why))
        if until > now + longest:
            return clocks_differ(ClocksDiffer, why, posting.relay_url, device, then=True)
    return clocks_differ(ClocksDiffer, why, posting.relay_url, device)


def clocks_differ(
    kind: type[Kind],
    why: TooFarAhead | Expired,
    relay_url: str,
    device: Device,
    *,
    then: bool = False,
) -> Kind:
    """What to say where a relay takes no date of ours; ``then``: of a clock that was wrong when
    this was written, and was set since.
    """
    differs = "is behind" if isinstance(why, Expired) else "is ahead of"
    if then:
        differs = "was, when this was written, ahead of"
    return kind(differs=differs, host=urlsplit(relay_url).netloc, now=device.clock.now())


def _kept_days(why: TooFarAhead) -> int:
    """For how many days that relay keeps letters; what it says is not trusted."""
    told = why.facts.get("limit_days")
    return min(max(told, 1), EXPIRY_DAYS_MAX) if isinstance(told, int) else EXPIRY_DAYS_MAX


def _sent_at(copy: SealedCopy, device: Device) -> datetime:
    try:
        return device.ledger.read(copy.message).sent_at
    except UnknownMessage:
        return device.clock.now()
