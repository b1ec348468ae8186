"""What partners may see and what they submit (docs/spec/exchange.md, 1 to 3, 5).

Which partner asks, by its key; one page of what it may see (1.1, 1.2, 2.3); when it sees a change
and when the change is forgotten (2, 5.2); the opinions and hashes that it submits (3.4, 3.5, 5.1).
"""

import hashlib
import hmac
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil
from typing import Final

from entrenous.base.environment import Clock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES
from entrenous.base.secret import Secret
from entrenous.stop.exchange_nouns import ExchangePartner, Mark, Said, Served, WrongKey
from entrenous.stop.exchange_stores import Exchange, Feed, PartnerStore
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.registration import (
    AGAINST,
    MATCHING,
    Change,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    Registration,
    Stance,
)
from entrenous.stop.stores import BankStore
from entrenous.wire.encodings import to_base64url

KEY_BYTES: Final = 32


def add_partner(
    name: str, banks: Collection[BankName], exchange: Exchange, *, submits: bool = False
) -> Secret:
    """Let a platform fetch these banks; its key, as the text that it shows, is told this once.

    Raises:
        BadPartnerName, PartnerKnown.
    """
    key = Secret(to_base64url(exchange.dice.token(KEY_BYTES)).encode())
    exchange.partners.add(name, banks, submits=submits, key=_kept(key))
    return key


def partner_with(key: Secret, exchange: Exchange, *, name: str | None = None) -> ExchangePartner:
    """The partner whose key this is, and whose name, if one was given; raises WrongKey.

    The key is looked up by its hash, which tells a patient stranger's stopwatch nothing about it.
    """
    partner = exchange.partners.with_key(_kept(key))
    if partner is None or not (name is None or _same(name, partner.name)):
        raise WrongKey
    return partner


def _kept(key: Secret) -> bytes:
    """Random 256 bits need no slow hash."""
    return hashlib.sha256(key.reveal()).digest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


TOMBSTONE_DAYS: Final = 35  # a StopNCII client begins anew after 30
_MARKS_KEPT_S: Final = 100 * 24 * 3600
_NONE: Final = Mark(0, 0)


def seconds(at: datetime) -> int:
    """Whole seconds since 1970."""
    return int(at.timestamp())


def moment(at_s: int) -> datetime:
    """The moment so many seconds after 1970 began, in UTC."""
    return datetime.fromtimestamp(at_s, UTC)


def look(exchange: Exchange) -> Mark:
    """How far partners may see now; news since the last look get a mark, at most one a second.

    Tombstones that nobody is waiting for, or that are too old, are forgotten on the way.
    """
    seen = follow(exchange)
    forget(exchange)
    return seen


def forget(exchange: Exchange) -> int:
    """Forget what was withdrawn too long ago, told or not; how many claims."""
    return exchange.served.forget_tombstones(exchange.clock.now() - timedelta(days=TOMBSTONE_DAYS))


def follow(exchange: Exchange) -> Mark:
    """How far partners may see now, and what that says of claims they were served."""
    last = exchange.served.newest_mark()
    known = last or _NONE
    now_s = seconds(exchange.clock.now())
    newest = newest_number(exchange.feed, known.number)
    if newest > known.number and now_s > known.at_s:
        at_s = now_s if last else _first(exchange.feed, newest, now_s)
        exchange.served.add_mark(Mark(at_s, newest), at_s - _MARKS_KEPT_S)
        known = exchange.served.newest_mark() or known  # another process may have been quicker
    exchange.served.follow(exchange.feed, known.number)
    return known


def settle(to_s: int, seen: Mark, exchange: Exchange) -> Mark:
    """Before a partner is told all before a second: whoever's clock is behind dates nothing into
    that time any more. How far partners may see now; ``seen`` is what was seen just before.
    """
    if to_s <= seen.at_s + 1:  # the next mark comes later anyway
        return seen
    exchange.served.settle(to_s)
    return follow(exchange)  # what another process dated meanwhile is told too


def newest_number(feed: Feed, known: int) -> int:
    """The highest number of any change, ``known`` if none is higher; in about 2 log2(n) questions,
    one when there is no news.
    """
    low, high, step = known, known, 1
    while feed.changes(high, 1):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if feed.changes(middle, 1) else (low, middle)
    return high


def number_before(at_s: int, exchange: Exchange) -> int:
    """The number up to which changes were seen before that second. From the future, 0: a client
    whose checkpoint is wrong begins at the beginning.
    """
    if at_s > seconds(exchange.clock.now()) + 1:
        return 0
    return exchange.served.number_before(at_s)


def dated(numbers: Sequence[int], exchange: Exchange) -> list[int]:
    """For each number, in order, the second at which it was first seen."""
    if not numbers:
        return []
    marks = exchange.served.marks_over(numbers[0] - 1, numbers[-1])
    tops = [mark.number for mark in marks]
    return [marks[min(bisect_left(tops, one), len(marks) - 1)].at_s for one in numbers]


def _first(feed: Feed, newest: int, now_s: int) -> int:
    """Nobody has asked before, so the first mark may lie in the past."""
    change = feed.changes(newest - 1, 1)[0]
    return min(now_s, ceil(change.at.timestamp()))


def forget_expired(exchange: Exchange) -> int:
    """Learn what was withdrawn, and forget what was withdrawn too long ago; how many claims.

    Every request and fetch does so too. This is for a gate that nobody asks any more.
    """
    follow(exchange)
    return forget(exchange)


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


_AGAINST_MAX: Final = 3  # partners who disagree suspend a claim
_QUALITY_UNKNOWN: Final = 100  # nobody says how much detail the picture had
_CONTEXT: Final = b"entrenous/1 exchange claim\x00"


@dataclass(frozen=True, slots=True)
class PartnerOpinions:
    """Opinions that are kept, and suspend a claim when three partners are against it."""

    clock: Clock
    partners: PartnerStore

    def give(self, partner: ExchangePartner, said: Mapping[ClaimId, Stance]) -> None:
        """Each partner counts once for a claim, with its newest opinion. Only a new one against it
        suspends: what a reviewer confirmed since is not undone by three old opinions, nor by one in
        favour.
        """

        def suspend(before: Iterable[Said], now: Iterable[Said], bank: BankStore) -> None:
            held = [_held(claim, partner, bank) for claim in said]
            old, against = _against(before), _against(now)
            new = {claim for claim in said if partner.number in against[claim] - old[claim]}
            enough = [one.id for one in held if len(against[one.id]) >= _AGAINST_MAX]
            bank.move_all(ClaimEvent.SUSPEND, *(claim for claim in enough if claim in new))

        self.partners.say(partner, said, self.clock.now(), suspend)


def _held(claim: ClaimId, partner: ExchangePartner, bank: BankStore) -> Claim:
    held = bank.claim(claim)
    if held.bank not in partner.banks:
        raise NoSuchClaim(claim=claim)
    return held


def _against(said: Iterable[Said]) -> Mapping[ClaimId, set[int]]:
    """Partners who are against each."""
    against = defaultdict[ClaimId, set[int]](set)
    for one in said:
        if one.stance in AGAINST:
            against[one.claim].add(one.number)
    return against


@dataclass(frozen=True, slots=True)
class PartnerSubmissions:
    """Partners' hashes as waiting claims: uploads that fit are held, never refused."""

    platform: Platform

    def submit(self, partner: ExchangePartner, hashes: Collection[bytes]) -> None:
        """The same hash again is the same claim, also when it was withdrawn since."""
        claims = {claim_name(partner.name.encode(), bits): (bits,) for bits in hashes}
        ensure_bank(partner.own_bank, self.platform.bank)
        register_missing(claims, partner.own_bank, ClaimState.WAITING, self.platform)


def claim_name(*of: bytes) -> ClaimId:
    """A claim's name that is the same whenever the same is brought; nobody can read it back."""
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in of)
    return ClaimId(hashlib.sha256(_CONTEXT + parts).digest()[:CLAIM_ID_BYTES].hex())


def ensure_bank(name: BankName, bank: BankStore) -> None:
    """Make a bank of that name, if there is none."""
    if name not in {one.name for one in bank.banks()}:
        bank.set_bank(Bank(name))


def register_missing(
    claims: Mapping[ClaimId, tuple[bytes, ...]],
    bank: BankName,
    state: ClaimState,
    platform: Platform,
) -> int:
    """Register those that are not there yet, in one transaction; how many. When somebody else
    brings one of them at the same time, the others are registered still. That a look back for them
    is due is registered with them.

    Raises:
        BankUnreachable: and nobody else brought any.
    """
    now = platform.clock.now()
    new = _missing(claims, platform.bank)
    while new:
        try:
            platform.bank.register(
                *(
                    Registration(
                        Claim(name, bank, state, "pdq", _QUALITY_UNKNOWN, now),
                        hashes,
                        looks_back=True,
                    )
                    for name, hashes in new.items()
                )
            )
        except BankUnreachable:
            left = _missing(new, platform.bank)
            if len(left) == len(new):
                raise
            new = left
        else:
            break
    return len(new)


def _missing(
    claims: Mapping[ClaimId, tuple[bytes, ...]], bank: BankStore
) -> dict[ClaimId, tuple[bytes, ...]]:
    there = bank.with_hashes(claims)
    return {name: hashes for name, hashes in claims.items() if name not in there}
