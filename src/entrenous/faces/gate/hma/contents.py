"""Contents by number: a bank's claims on one distinct registered hash (docs/spec/hma.md, 2.2).

What the platform listed itself can be changed here. What a person registered cannot: a reviewer
disputes it, and its holder takes it back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from entrenous.faces.gate.hma.errors import NoSuchContent, NotYours
from entrenous.faces.gate.hma.names import hma_name
from entrenous.faces.gate.hma.params import SIGNAL
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Claim, ClaimEvent, ClaimState, Registration
from entrenous.ports import Platform
from entrenous.stop.register import new_claim_id

NUMBER_DIGITS_MAX: Final = 18  # of the 63 bits that the tables hold
_PAGE: Final = 1000
_LISTED_QUALITY: Final = 100  # of a hash without its picture, as lists have it


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
    """The content of that number in that bank; raises NoSuchContent.

    One that is on is found at once; for one that is off, all claims are walked.
    """
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
    made = _list(bits, bank, note, platform)
    numbers = (number for number, claim in _claims_at(bits, platform) if claim.id == made.id)
    at = next(numbers, None)
    if at is None:  # withdrawn again in this moment
        raise NoSuchContent
    return at, made


def switch_off(one: Content, platform: Platform) -> None:
    """Suspend what is listed: it matches nothing; raises NotYours."""
    for claim in _own(one):
        platform.bank.move(claim.id, ClaimEvent.SUSPEND)


def switch_on(one: Content, platform: Platform) -> Claim | None:
    """Let a suspended content match again; the claim that does, or None when it is on already.

    Confirming the old claim would let a machine refuse by it. So a waiting one takes its place, and
    before the old one goes: thus the hash keeps its number.
    """
    listed = _own(one)
    if one.on:
        return None
    made = _list(one.bits, one.bank, listed[0].reason, platform)
    platform.bank.withdraw(*(claim.id for claim in listed))
    return made


def delete(one: Content, platform: Platform) -> int:
    """Withdraw what is listed, for good; raises NotYours."""
    return min(platform.bank.withdraw(*(claim.id for claim in _own(one))), 1)


def described(one: Content) -> dict[str, Any]:
    """As HMA shows a content; of what we do not keep there is nothing."""
    notes = [claim.reason for claim in one.listed if claim.reason]
    return {
        "id": one.number,
        "disable_until_ts": int(one.on),
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


def _list(bits: bytes, bank: Bank, note: str, platform: Platform) -> Claim:
    claim = Claim(
        id=new_claim_id(platform),
        bank=bank.name,
        state=ClaimState.WAITING,
        kind=SIGNAL,
        quality=_LISTED_QUALITY,
        made_at=platform.clock.now(),
        reason=note,
    )
    platform.bank.register(Registration(claim, (bits,), looks_back=True))
    return claim


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
