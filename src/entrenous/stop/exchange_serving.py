"""Serve partners and accept what they submit (docs/spec/exchange.md, 1 to 3, 5).

Identify a partner by its key, make a page of the claims that it may see (1.1, 1.2, 2.3), decide
when it sees a change and when a tombstone is deleted (2, 5.2), and accept its opinions and hashes
(3.4, 3.5, 5.1).

A change time (ChangeTime) is the number of a change, with the second at which that change was the
newest. A tombstone is a withdrawn claim that is kept until partners have read of its withdrawal.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final

from entrenous.base.environment import Clock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES
from entrenous.base.secret import Secret
from entrenous.stop.exchange_nouns import (
    ChangeTime,
    ExchangePartner,
    ExchangeServices,
    PartnerOpinion,
    ReleasedBankNotShared,
    ServedClaim,
    WrongKey,
)
from entrenous.stop.nouns import RELEASED_BANK, Bank, BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.register import QUALITY_UNKNOWN
from entrenous.stop.registration import (
    MATCHING_STATES,
    STANCES_AGAINST,
    Claim,
    ClaimChange,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    Registration,
    Stance,
)
from entrenous.wire.encodings import to_base64url

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore
    from entrenous.stop.store.exchange_partners import ExchangePartnerStore

PARTNER_KEY_BYTES: Final = 32


def add_exchange_partner(
    name: str, banks: Collection[BankName], exchange: ExchangeServices, *, submits: bool = False
) -> Secret:
    """Let a platform fetch these banks. Return its key as text; only the key's hash is stored.

    Raises BadPartnerName, PartnerKnown, ReleasedBankNotShared.
    """
    if RELEASED_BANK in banks:
        raise ReleasedBankNotShared(bank=RELEASED_BANK)
    key = Secret(to_base64url(exchange.random_source.token(PARTNER_KEY_BYTES)).encode())
    exchange.partners.add(name, banks, submits=submits, key_sha256=_partner_key_sha256(key))
    return key


def authenticate_partner(
    key: Secret, exchange: ExchangeServices, *, name: str | None = None
) -> ExchangePartner:
    """Return the partner with this key and, if one was given, this name; raises WrongKey.

    The key is looked up by its hash, so that timing reveals nothing about it.
    """
    partner = exchange.partners.partner_with_key_hash(_partner_key_sha256(key))
    if partner is None:
        raise WrongKey
    if name is not None and not hmac.compare_digest(name.encode(), partner.name.encode()):
        raise WrongKey
    return partner


def _partner_key_sha256(key: Secret) -> bytes:
    """Return a key's SHA-256; 256 random bits need no slow hash."""
    return hashlib.sha256(key.reveal()).digest()


EXCHANGE_TOMBSTONE_DAYS: Final = 35  # days; a client of StopNCII starts over after 30
_CHANGE_TIME_RETENTION_S: Final = 100 * 24 * 3600
_NO_CHANGE_TIME: Final = ChangeTime(0, 0)


def unix_seconds(at: datetime) -> int:
    """Return whole seconds since 1970."""
    return int(at.timestamp())


def time_from_seconds(at_s: int) -> datetime:
    """Return the time, in UTC, that is this many seconds after the start of 1970."""
    return datetime.fromtimestamp(at_s, UTC)


def update_exchange_state(exchange: ExchangeServices) -> ChangeTime:
    """Return the change time up to which partners may see changes now.

    At most once a second, a change time is recorded for the newest change. Tombstones that are too
    old are deleted; those that every partner has read are deleted elsewhere, when a partner reads
    on. Every request for changes and the command that fetches call this, and a running gate calls
    it every hour.
    """
    seen = update_served_claims(exchange)
    delete_old_tombstones(exchange)
    return seen


def delete_old_tombstones(exchange: ExchangeServices) -> int:
    """Delete the tombstones of claims that were withdrawn more than 35 days ago, even if partners
    have not read them.

    Return the number of deleted tombstones.
    """
    return exchange.served.delete_tombstones(
        exchange.clock.now() - timedelta(days=EXCHANGE_TOMBSTONE_DAYS)
    )


def update_served_claims(exchange: ExchangeServices) -> ChangeTime:
    """Update the served claims; return the change time up to which partners may see changes now."""
    last = exchange.served.newest_change_time()
    known = last or _NO_CHANGE_TIME
    now_s = unix_seconds(exchange.clock.now())
    newest = newest_change_number(exchange.feed, known.number)
    if newest > known.number and now_s > known.at_s:
        at_s = now_s if last else _first_change_second(exchange.feed, newest, now_s)
        exchange.served.add_change_time(ChangeTime(at_s, newest), at_s - _CHANGE_TIME_RETENTION_S)
        # Another process may have added a newer change time.
        known = exchange.served.newest_change_time() or known
    exchange.served.apply_next_changes(exchange.feed, known.number)
    return known


def finalize_changes_before(
    to_s: int, seen_change_time: ChangeTime, exchange: ExchangeServices
) -> ChangeTime:
    """From now on, keep all processes from dating a change before ``to_s``, even if their clocks
    are behind.

    Call this before answering a partner about the time up to that second.

    Returns:
        The change time up to which partners may see changes now; ``seen_change_time`` is the one
        that :func:`update_exchange_state` has just returned.
    """
    if to_s <= seen_change_time.at_s + 1:  # the next change time cannot be before ``to_s`` anyway
        return seen_change_time
    exchange.served.stop_dating_changes_before(to_s)
    # The new change time includes changes that another process has meanwhile dated.
    return update_served_claims(exchange)


def newest_change_number(feed: BankStore, known: int) -> int:
    """Return the highest number of any change, or ``known`` if none is higher.

    This takes about 2 log2(n) queries for n new changes, or one query if nothing is new.
    """
    low, high, step = known, known, 1
    while feed.changes(high, 1):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if feed.changes(middle, 1) else (low, middle)
    return high


def change_number_before(at_s: int, exchange: ExchangeServices) -> int:
    """Return the number up to which changes were seen before that second.

    Returns 0 for a time more than a second in the future, so that a client with a wrong checkpoint
    starts over.
    """
    if at_s > unix_seconds(exchange.clock.now()) + 1:
        return 0
    return exchange.served.last_change_number_before(at_s)


def unix_seconds_of_changes(numbers: Sequence[int], exchange: ExchangeServices) -> list[int]:
    """Return, for each of these ascending numbers of changes, the Unix second at which the exchange
    first saw the change.
    """
    if not numbers:
        return []
    change_times = exchange.served.change_times_between(numbers[0] - 1, numbers[-1])
    tops = [one.number for one in change_times]
    return [
        change_times[min(bisect_left(tops, one), len(change_times) - 1)].at_s for one in numbers
    ]


def _first_change_second(feed: BankStore, newest: int, now_s: int) -> int:
    """Return the second for the first change time of all: the time at which the change ``newest``
    was made, rounded up to a whole second, and at most ``now_s``.

    Later change times have the second in which the change is first seen. For the first one, an
    earlier second does no harm: no partner has asked before, so none can have missed the change.
    """
    change = feed.changes(newest - 1, 1)[0]
    return min(now_s, ceil(change.at.timestamp()))


_CHANGES_PER_READ: Final = 1000
# The number of reads for one page. It limits the time for skipping changes of other banks.
_READS_PER_PAGE_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes that a partner may see, up to number ``reached``, and whether there are more."""

    changes: tuple[ClaimChange, ...]
    reached: int
    more: bool


@dataclass(frozen=True, slots=True)
class HashStatus:
    """A hash (32 bytes) as one partner sees it: its claims, and when they changed."""

    bits: bytes
    at_s: int
    claims: tuple[ServedClaim, ...]

    @property
    def is_live(self) -> bool:
        """Return whether any claim on the hash is waiting or confirmed."""
        return any(case.state in MATCHING_STATES for case in self.claims)

    @property
    def is_confirmed(self) -> bool:
        """Return whether any claim on the hash is confirmed now."""
        return any(case.state is ClaimState.CONFIRMED for case in self.claims)

    @property
    def is_withdrawn(self) -> bool:
        """Return whether the hash was withdrawn, and not only suspended."""
        return not self.is_live and any(case.state is ClaimState.WITHDRAWN for case in self.claims)


def changes_for_partner(
    partner: ExchangePartner, after: int, upto: int, size: int, feed: BankStore
) -> ChangePage:
    """Return at most ``size`` changes above ``after``, up to ``upto``, in the partner's banks.

    The result may have fewer changes, even none, although more follow.
    """
    found = list[ClaimChange]()
    for _ in range(_READS_PER_PAGE_MAX):
        read = [one for one in feed.changes(after, _CHANGES_PER_READ) if one.number <= upto]
        if not read:
            return ChangePage(tuple(found), max(after, upto), more=False)
        fitting = islice(filter(_visible_change_filter(partner), read), size - len(found))
        found.extend(fitting)
        after = found[-1].number if len(found) == size else read[-1].number
        if len(found) == size:
            break
    return ChangePage(tuple(found), after, more=after < upto and bool(feed.changes(after, 1)))


def record_and_group_by_hash(
    partner: ExchangePartner, page: ChangePage, newest_number_seen: int, exchange: ExchangeServices
) -> tuple[HashStatus, ...]:
    """Group a page of changes by hash, for protocols that have hashes instead of claims.

    Served claims are recorded, so that their withdrawal can be served too (section 5.2).
    ``newest_number_seen`` is the number of the newest change that was known when the page was made.
    """
    live = [one for one in page.changes if one.state in MATCHING_STATES]
    exchange.served.record_served(partner, live, newest_number_seen)
    touched = _second_of_newest_change_by_hash(partner, page, exchange)
    claims = exchange.served.claims_on_hashes(partner.banks, touched)
    served = exchange.served.served_to(partner, [claim.claim for _, claim in claims])
    cases = dict[bytes, list[ServedClaim]]()
    for bits, claim in claims:
        # Hide withdrawn and suspended claims that were served only to other partners.
        if claim.state in MATCHING_STATES or claim.claim in served:
            cases.setdefault(bits, []).append(claim)
    return tuple(
        HashStatus(bits, at_s, tuple(cases[bits]))
        for bits, at_s in touched.items()
        if bits in cases
    )


def _second_of_newest_change_by_hash(
    partner: ExchangePartner, page: ChangePage, exchange: ExchangeServices
) -> dict[bytes, int]:
    """Return the page's hashes, each with the second of its newest change.

    Withdrawn and suspended claims count only if they were served to this partner.
    """
    ended = [one.claim for one in page.changes if one.state not in MATCHING_STATES]
    served_claims = exchange.served.served_to(partner, ended)
    hashes = {one.claim: one.hashes for one in page.changes if one.state in MATCHING_STATES}
    hashes |= {claim: served.hashes for claim, served in served_claims.items()}
    times = unix_seconds_of_changes([one.number for one in page.changes], exchange)
    touched = dict[bytes, int]()
    for change, at_s in zip(page.changes, times, strict=True):
        touched |= dict.fromkeys(hashes.get(change.claim, ()), at_s)
    return touched


def _visible_change_filter(partner: ExchangePartner) -> Callable[[ClaimChange], bool]:
    def is_visible(change: ClaimChange) -> bool:
        if change.bank == RELEASED_BANK:  # its hashes are of uploads that are to be let through
            return False
        known = change.bank in partner.banks and change.kind == "pdq"
        return known and (bool(change.hashes) or change.state not in MATCHING_STATES)

    return is_visible


_PARTNERS_AGAINST_TO_SUSPEND: Final = (
    3  # a claim is suspended when this many partners are against it
)
_CLAIM_ID_CONTEXT: Final = b"entrenous/1 exchange claim\x00"


@dataclass(frozen=True, slots=True)
class PartnerOpinionRecorder:
    """Stores partners' opinions, and suspends claims that three partners reject."""

    clock: Clock
    partners: ExchangePartnerStore

    def record(self, partner: ExchangePartner, stances: Mapping[ClaimId, Stance]) -> None:
        """Count these opinions in one transaction.

        Raises NoSuchClaim, and counts none, when a claim is in no bank of that partner.

        Each partner counts once for a claim, with its newest opinion.

        A claim is suspended only if this partner's opinion against it is new and three partners are
        now against it. So three older opinions do not undo a reviewer's confirmation.
        """

        def suspend_if_rejected(
            before: Iterable[PartnerOpinion], now: Iterable[PartnerOpinion], bank: BankStore
        ) -> None:
            for claim in stances:
                if bank.claim(claim).bank not in partner.banks:
                    raise NoSuchClaim(claim=claim)
            old, against = _partners_against(before), _partners_against(now)
            new = [claim for claim in stances if partner.number in against[claim] - old[claim]]
            enough = [claim for claim in new if len(against[claim]) >= _PARTNERS_AGAINST_TO_SUSPEND]
            bank.apply_event_to_all(ClaimEvent.SUSPEND, *enough)

        self.partners.record_opinions(partner, stances, self.clock.now(), suspend_if_rejected)


def _partners_against(opinions: Iterable[PartnerOpinion]) -> Mapping[ClaimId, set[int]]:
    """Return, for each claim, the ``PartnerOpinion.number`` of each partner who is against it."""
    against = defaultdict[ClaimId, set[int]](set)
    for one in opinions:
        if one.stance in STANCES_AGAINST:
            against[one.claim].add(one.number)
    return against


@dataclass(frozen=True, slots=True)
class PartnerHashRegistrar:
    """Registers partners' hashes as waiting claims: matching uploads are held, never refused."""

    platform: Platform

    def submit(self, partner: ExchangePartner, hashes: Collection[bytes]) -> None:
        """For each hash, make one waiting claim, in the partner's own bank.

        If a hash is submitted again, it gets the same claim, even if that claim has been withdrawn
        since.
        """
        claims = {derive_claim_id(partner.name.encode(), bits): (bits,) for bits in hashes}
        create_bank_if_missing(partner.submission_bank, self.platform.bank)
        register_missing_claims(claims, partner.submission_bank, ClaimState.WAITING, self.platform)


def derive_claim_id(*origin: bytes) -> ClaimId:
    """Derive a claim's id from its origin.

    Equal origins give equal ids, which do not reveal the origin.
    """
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in origin)
    return ClaimId(hashlib.sha256(_CLAIM_ID_CONTEXT + parts).digest()[:CLAIM_ID_BYTES].hex())


def create_bank_if_missing(name: BankName, bank: BankStore) -> None:
    """Create a bank of that name if there is none."""
    if name not in {one.name for one in bank.banks()}:
        bank.set_bank(Bank(name))


def register_missing_claims(
    claims: Mapping[ClaimId, tuple[bytes, ...]],
    bank: BankName,
    state: ClaimState,
    platform: Platform,
) -> int:
    """Register the claims that do not exist yet, in one transaction.

    For them, a search of earlier uploads (a look-back) is scheduled.

    If another process registers some of them at the same time, the others are still registered.

    Returns:
        The number of claims that were registered.

    Raises:
        BankUnreachable: the store failed for a reason other than a concurrent registration.
    """
    now = platform.clock.now()
    new = _missing_claims(claims, platform.bank)
    while new:
        registrations = [
            Registration(
                Claim(name, bank, state, "pdq", QUALITY_UNKNOWN, now), hashes, looks_back=True
            )
            for name, hashes in new.items()
        ]
        try:
            platform.bank.register(*registrations)
        except BankUnreachable:
            left = _missing_claims(new, platform.bank)
            if len(left) == len(new):
                raise
            new = left
        else:
            break
    return len(new)


def _missing_claims(
    claims: Mapping[ClaimId, tuple[bytes, ...]], bank: BankStore
) -> dict[ClaimId, tuple[bytes, ...]]:
    existing = bank.claims_with_hashes(claims)
    return {name: hashes for name, hashes in claims.items() if name not in existing}
