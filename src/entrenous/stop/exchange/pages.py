"""One page of what a partner may see (docs/spec/exchange.md sections 1.2 and 2.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from entrenous.model.claim import MATCHING, Change, ClaimState
from entrenous.model.exchange import ExchangePartner, Served
from entrenous.ports.exchange import Exchange, Feed
from entrenous.stop.exchange.horizon import dated

_READ_AT_ONCE: Final = 1000
_READS_MAX: Final = 20  # for one page: others' banks between a partner's must not take for ever


@dataclass(frozen=True, slots=True)
class Slice:
    """Changes that a partner may see, up to number ``reached``; ``more`` if that is not the end."""

    changes: tuple[Change, ...]
    reached: int
    more: bool


@dataclass(frozen=True, slots=True)
class OfHash:
    """What is said of one hash (32 bytes) to one partner: its claims, and when that changed."""

    bits: bytes
    at_s: int
    cases: tuple[Served, ...]

    @property
    def live(self) -> bool:
        """Whether any claim on it is waiting or confirmed."""
        return any(case.state in MATCHING for case in self.cases)

    @property
    def confirmed(self) -> bool:
        """Whether a person here has looked and agreed."""
        return any(case.state is ClaimState.CONFIRMED for case in self.cases)

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken back, and not only suspended."""
        return not self.live and any(case.state is ClaimState.WITHDRAWN for case in self.cases)


def slice_for(partner: ExchangePartner, after: int, upto: int, size: int, feed: Feed) -> Slice:
    """Changes above ``after``, up to ``upto``, in the partner's banks; at most ``size``.

    It may hold fewer, even none, and still say that there is more.
    """
    found = list[Change]()
    for _ in range(_READS_MAX):
        read = [one for one in feed.changes(after, _READ_AT_ONCE) if one.number <= upto]
        if not read:
            return Slice(tuple(found), max(after, upto), more=False)
        fitting = islice(filter(_shown_to(partner), read), size - len(found))
        found.extend(fitting)
        after = found[-1].number if len(found) == size else read[-1].number
        if len(found) == size:
            break
    return Slice(tuple(found), after, more=after < upto and bool(feed.changes(after, 1)))


def by_hash(
    partner: ExchangePartner, page: Slice, seen: int, exchange: Exchange
) -> tuple[OfHash, ...]:
    """The page as a form says it that tells of hashes, not claims; what is served is remembered,
    so that its withdrawal can be told (section 5.2). ``seen`` is the number of the last look.
    """
    live = [one for one in page.changes if one.state in MATCHING]
    exchange.served.remember(partner, live, seen)
    touched = _touched(partner, page, exchange)
    on = exchange.served.on_hashes(partner.banks, touched)
    told = exchange.served.told_of(partner, [case.claim for _, case in on])
    cases = dict[bytes, list[Served]]()
    for bits, case in on:
        if case.state in MATCHING or case.claim in told:  # another's tombstone is not shown
            cases.setdefault(bits, []).append(case)
    return tuple(
        OfHash(bits, at_s, tuple(cases[bits])) for bits, at_s in touched.items() if bits in cases
    )


def _touched(partner: ExchangePartner, page: Slice, exchange: Exchange) -> dict[bytes, int]:
    """The page's hashes, each with the second of its newest change. Of claims that ended, only
    those that this partner was given.
    """
    ended = [one.claim for one in page.changes if one.state not in MATCHING]
    told = exchange.served.told_of(partner, ended)
    hashes = {one.claim: one.hashes for one in page.changes if one.state in MATCHING}
    hashes |= {claim: served.hashes for claim, served in told.items()}
    times = dated([one.number for one in page.changes], exchange)
    touched = dict[bytes, int]()
    for change, at_s in zip(page.changes, times, strict=True):
        touched |= dict.fromkeys(hashes.get(change.claim, ()), at_s)
    return touched


def _shown_to(partner: ExchangePartner) -> Callable[[Change], bool]:
    def shown(change: Change) -> bool:
        known = change.bank in partner.banks and change.kind == "pdq"
        return known and (bool(change.hashes) or change.state not in MATCHING)

    return shown
