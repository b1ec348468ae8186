"""Contents by number: a bank's claims on one distinct registered hash (docs/spec/hma.md, 2.2).

What the platform listed itself can be changed here. What a person registered cannot: a reviewer
disputes it, and its holder takes it back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from entrenous.faces.gate.hma.errors import NoSuchContent, NotYours
from entrenous.faces.gate.hma.names import hma_name
from entrenous.faces.gate.hma.params import SIGNAL
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Claim, ClaimEvent, ClaimState
from entrenous.model.ids import ClaimId
from entrenous.model.listing import Listing
from entrenous.ports import Platform
from entrenous.ports.listing import ListingStore
from entrenous.stop.listings import list_again, list_hashes

NUMBER_DIGITS_MAX: Final = 18  # of the 63 bits that the tables hold
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Content:
    """``claims`` of one bank on one hash of 32 bytes; ``on`` when they match."""

    number: int
    bank: Bank
    bits: bytes
    claims: tuple[Claim, ...]
    on: bool

    @property
    def listed(self) -> tuple[Claim, ...]:
        """Those that no person registered."""
        return tuple(claim for claim in self.claims if claim.holder_sha256 is None)


def content(number: int, bank: Bank, platform: Platform) -> Content:
    """The content of that number in that bank; raises NoSuchContent, which says the next number.

    One that is on, or not there, is found at once; for one that is off, all claims are walked.
    """
    there = platform.bank.next_content(bank.name, number - 1)
    if there != number:
        raise NoSuchContent(next=there)
    found = platform.bank.claims_on({number})
    live = tuple(claim for _, claim in found if claim.bank == bank.name)
    bits = _bits_on(number, live[0], platform) if live else _bits_numbered(number, platform)
    if bits is None:
        raise NoSuchContent
    claims = live or tuple(_suspended_on(bits, bank, platform))
    if not claims:
        raise NoSuchContent
    return Content(number, bank, bits, claims, on=bool(live))


def add(bits: bytes, bank: Bank, note: str, platform: Platform) -> tuple[int, Claim | None]:
    """List a hash in a bank, waiting: its content's number, and the claim unless one was there.

    Raises NotYours for the bank that people fill.
    """
    if bank.name == PEOPLE:
        raise NotYours(why="Only people themselves register in that bank; make one of your own")
    for number, claim in _claims_at(bits, platform):
        if claim.bank == bank.name and claim.holder_sha256 is None:
            return number, None
    made = list_hashes([bits], bank.name, note, platform)
    numbers = (number for number, claim in _claims_at(bits, platform) if claim.id == made.id)
    at = next(numbers, None)
    if at is None:  # withdrawn again in this moment
        raise NoSuchContent
    return at, made


def switch_off(
    one: Content, until: datetime | None, platform: Platform, listings: ListingStore
) -> None:
    """Suspend what is listed: it matches nothing, until then; raises NotYours.

    The time is kept before: who dies in between leaves what matches.
    """
    for claim in _own(one):
        listings.keep([claim.id], Listing(named(one, listings), until))
        platform.bank.move(claim.id, ClaimEvent.SUSPEND)


def switch_on(one: Content, platform: Platform, listings: ListingStore) -> Claim | None:
    """Let a suspended content match again; the claim that does, or None when it is on already."""
    listed = _own(one)
    return None if one.on else list_again(listed, [one.bits], platform, listings)


def name(one: Content, content_id: str, listings: ListingStore) -> None:
    """Keep what the platform calls it, in the place of what it called it before."""
    until = _until(one, listings)
    listings.keep([claim.id for claim in _own(one)], Listing(content_id, until))


def named(one: Content, listings: ListingStore) -> str:
    """What the platform calls it; "" for nothing."""
    names = (known.content_id for known in _kept(one, listings).values())
    return next((content_id for content_id in names if content_id), "")


def annotate(one: Content, note: str, listings: ListingStore) -> None:
    """Write another note; raises NotYours."""
    listings.annotate([claim.id for claim in _own(one)], note)


def delete(one: Content, platform: Platform) -> int:
    """Withdraw what is listed, for good; raises NotYours."""
    return min(platform.bank.withdraw(*(claim.id for claim in _own(one))), 1)


def described(one: Content, listings: ListingStore) -> dict[str, Any]:
    """As HMA shows a content; of what we do not keep there is nothing."""
    notes = [claim.reason for claim in one.listed if claim.reason]
    until = None if one.on else _until(one, listings)
    return {
        "id": one.number,
        "disable_until_ts": int(until.timestamp()) if until else int(one.on),
        "original_media_uri": None,
        "bank": bank_described(one.bank),
        "note": notes[0] if notes else None,
    }


def bank_described(bank: Bank) -> dict[str, Any]:
    """As HMA shows a bank: in shadow, none of its matches is acted on."""
    ratio = 0.0 if bank.shadow else 1.0
    return {"name": hma_name(bank.name), "matching_enabled_ratio": ratio}


def signals_of(one: Content) -> dict[str, str]:
    """Its one hash."""
    return {SIGNAL: one.bits.hex()}


def _own(one: Content) -> tuple[Claim, ...]:
    if not one.listed:
        raise NotYours(why="A person registered this, and it is theirs to take back")
    return one.listed


def _until(one: Content, listings: ListingStore) -> datetime | None:
    """The time at which the last of its claims matches again."""
    times = [known.on_at for known in _kept(one, listings).values() if known.on_at]
    return max(times, default=None)


def _kept(one: Content, listings: ListingStore) -> Mapping[ClaimId, Listing]:
    return listings.listings([claim.id for claim in one.listed])


def _claims_at(bits: bytes, platform: Platform) -> tuple[tuple[int, Claim], ...]:
    """Claims that match on this very hash. (An index may know a number that is no more.)"""
    near = platform.index.near([bits], part=False)
    return platform.bank.claims_on({one.entry for one in near if one.distance == 0})


def _bits_on(number: int, claim: Claim, platform: Platform) -> bytes | None:
    """Which of the claim's hashes has that number; None when a window of a picture has it."""
    hashes = platform.bank.hashes_of(claim.id)
    near = platform.index.near(hashes, part=False) if hashes else ()
    exact = (one for one in near if (one.entry, one.distance) == (number, 0))
    return next((hashes[one.query] for one in exact), None)


def _bits_numbered(number: int, platform: Platform) -> bytes | None:
    entries = platform.bank.entries(number - 1)
    if entries and entries[0].number == number and not entries[0].part:
        return entries[0].bits
    return None


def _suspended_on(bits: bytes, bank: Bank, platform: Platform) -> Iterator[Claim]:
    after = 0
    while changes := platform.bank.changes(after, _PAGE):
        for change in changes:
            suspended = change.state is ClaimState.SUSPENDED and change.bank == bank.name
            if suspended and bits in change.hashes:
                yield platform.bank.claim(change.claim)
        after = changes[-1].number
