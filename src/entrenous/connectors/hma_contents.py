"""HMA's contents: a content is all claims of one bank on one hash, and its number is the number of
that hash (docs/spec/hma.md, 2.2).
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from entrenous.base.identifiers import ClaimId
from entrenous.connectors.hma_requests import (
    SIGNAL_TYPE,
    BadParameter,
    MissingParameter,
    NoSuchContent,
    NotOwnContent,
    NotSupportedHere,
    hma_name,
    json_member,
)
from entrenous.stop.nouns import CONTENT_ID_CHARS_MAX, PEOPLE_BANK, Bank, ClaimListing
from entrenous.stop.platform import Platform
from entrenous.stop.register import register_platform_claim, replace_suspended_claims
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState
from entrenous.stop.store.registration_changes import ClaimListingStore

NOTE_CHARS_MAX: Final = 255
SWITCHED_OFF_PERIOD_MAX: Final = timedelta(days=5 * 365)
_DISABLED_FOREVER_TIMESTAMP, _ALWAYS_ENABLED_TIMESTAMP = 0, 1  # values of "disable_until_ts"
_WHY_NO_RANDOM_SHARE: Final = (
    "A bank cannot act on a random share of uploads: either it acts on all of them, or it is in "
    'shadow mode and only records. Set "enabled_ratio" to 1 or 0, or send only some of your '
    "uploads to the gate."
)


@dataclass(frozen=True, slots=True)
class ContentMetadata:
    """Metadata of a new content; ``note`` becomes the claim's reason, "" if there is none."""

    note: str
    content_id: str

    @classmethod
    def parse(cls, untrusted_note: object, untrusted_metadata: object) -> Self:
        """Parse a note and metadata, of which only ``content_id`` is kept; raises BadParameter."""
        metadata = {} if untrusted_metadata is None else untrusted_metadata
        if not isinstance(metadata, dict):
            raise BadParameter(why='"metadata" must be a JSON object')
        content_id = metadata.get("content_id")
        return cls(
            _parse_note(untrusted_note), "" if content_id is None else _parse_content_id(content_id)
        )


@dataclass(frozen=True, slots=True)
class ContentChange:
    """A change of a content.

    ``on`` and ``note`` are None if they stay as they are. If ``on`` is False, ``until`` is when the
    content matches again, or None if it stays off.
    """

    on: bool | None = None
    until: datetime | None = None
    note: str | None = None

    @classmethod
    def parse(cls, wanted: dict[str, Any], now: datetime) -> Self:
        """Parse the body of a PUT; raises MissingParameter, BadParameter."""
        note = _parse_note(wanted["note"]) if "note" in wanted else None
        if "disable_until_ts" not in wanted:
            if note is None:
                raise MissingParameter(name="disable_until_ts")
            return cls(note=note)
        at_s = json_member(wanted, "disable_until_ts", int)
        if not 0 <= at_s <= (now + SWITCHED_OFF_PERIOD_MAX).timestamp():
            raise BadParameter(why='"disable_until_ts" must be 0, 1, or a time within five years')
        if at_s == _DISABLED_FOREVER_TIMESTAMP:
            return cls(on=False, note=note)
        until = datetime.fromtimestamp(at_s, UTC)
        if at_s == _ALWAYS_ENABLED_TIMESTAMP or until <= now:
            return cls(on=True, note=note)
        return cls(on=False, until=until, note=note)


def parse_metadata_parameter(untrusted_json: str) -> object:
    """Parse a parameter that contains JSON; return None if it is empty. Raises BadParameter."""
    try:
        return json.loads(untrusted_json) if untrusted_json else None
    except (ValueError, RecursionError) as problem:
        raise BadParameter(why='"metadata" is not JSON') from problem


def parse_enabled_ratio(untrusted_ratio: object) -> float:
    """Parse 0 or 1.

    Raises NotSupportedHere for numbers between them, and BadParameter for anything else.
    """
    try:
        ratio = float(str(untrusted_ratio))
    except ValueError:
        ratio = math.nan
    if isinstance(untrusted_ratio, bool) or not 0 <= ratio <= 1:
        raise BadParameter(why='"enabled_ratio" must be a number from 0 to 1')
    if 0 < ratio < 1:
        raise NotSupportedHere(instead=_WHY_NO_RANDOM_SHARE)
    return ratio


def _parse_note(untrusted_note: object) -> str:
    if untrusted_note is None:
        return ""
    if not isinstance(untrusted_note, str) or len(untrusted_note) > NOTE_CHARS_MAX:
        raise BadParameter(why=f'"note" must be text of at most {NOTE_CHARS_MAX} characters')
    return untrusted_note


def _parse_content_id(untrusted_id: object) -> str:
    text = str(untrusted_id) if isinstance(untrusted_id, int) else untrusted_id
    if not isinstance(text, str) or len(text) > CONTENT_ID_CHARS_MAX or not text.isprintable():
        what = f"text of at most {CONTENT_ID_CHARS_MAX} printable characters"
        raise BadParameter(why=f'"content_id" of the metadata must be {what}')
    return text


# a longer number might not fit into the 63 bits of a number in the tables
CONTENT_NUMBER_DIGITS_MAX: Final = 18
_CHANGES_PER_READ: Final = 1000


@dataclass(frozen=True, slots=True)
class HmaContent:
    """The ``claims`` of one bank on one hash; ``on`` says whether the claims match uploads.

    ``number`` is the number of the hash, and ``bits`` are its 32 bytes.
    """

    number: int
    bank: Bank
    bits: bytes
    claims: tuple[Claim, ...]
    on: bool

    @property
    def claims_without_person(self) -> tuple[Claim, ...]:
        """Return the claims that no person registered."""
        return tuple(claim for claim in self.claims if claim.holder_sha256 is None)


def get_content(number: int, bank: Bank, platform: Platform) -> HmaContent:
    """Find a bank's content; raises NoSuchContent, which names the bank's next content if that is
    known.

    A few look-ups are enough if the content is on, or does not exist. If it is off, all claims are
    read.
    """
    there = platform.bank.next_picture_hash_number(bank.name, number - 1)
    if there != number:
        raise NoSuchContent(next=there)
    found = platform.bank.claims_on_pictures({number})
    live = tuple(claim for _, claim in found if claim.bank == bank.name)
    bits = _hash_of_claim(number, live[0], platform) if live else _hash_numbered(number, platform)
    if bits is None:
        raise NoSuchContent
    claims = live or tuple(_suspended_claims_on(bits, bank, platform))
    if not claims:
        raise NoSuchContent
    return HmaContent(number, bank, bits, claims, on=bool(live))


def add_content(bits: bytes, bank: Bank, note: str, platform: Platform) -> tuple[int, Claim | None]:
    """List a hash in a bank as a waiting claim, unless it is listed there already.

    Returns:
        The content's number, and the new claim or None.

    Raises:
        NotOwnContent: the bank is ``PEOPLE_BANK``, which is only for what people registered
            themselves.
        NoSuchContent: another request has withdrawn the new claim meanwhile.
    """
    if bank.name == PEOPLE_BANK:
        raise NotOwnContent(
            why="That bank is only for what people register themselves. Create a bank of your own."
        )
    for number, claim in _claims_on_hash(bits, platform):
        if claim.bank == bank.name and claim.holder_sha256 is None:
            return number, None
    made = register_platform_claim([bits], bank.name, note, platform)
    numbers = (number for number, claim in _claims_on_hash(bits, platform) if claim.id == made.id)
    at = next(numbers, None)
    if at is None:  # another request has withdrawn the new claim meanwhile
        raise NoSuchContent
    return at, made


def switch_off(
    content: HmaContent, until: datetime | None, platform: Platform, listings: ClaimListingStore
) -> None:
    """Suspend the content's claims that no person registered, for good or ``until`` that time.

    The time is stored first, so that a crash in between leaves the claims matching. Raises
    NotOwnContent if there are only people's claims.
    """
    for claim in _require_own_claims(content):
        listings.set_listing([claim.id], ClaimListing(content_id_of(content, listings), until))
        platform.bank.apply_event(claim.id, ClaimEvent.SUSPEND)


def switch_on(content: HmaContent, platform: Platform, listings: ClaimListingStore) -> Claim | None:
    """Let a suspended content match again; raises NotOwnContent.

    Returns:
        The claim that matches now, or None if the content matched already.
    """
    listed = _require_own_claims(content)
    return (
        None if content.on else replace_suspended_claims(listed, [content.bits], platform, listings)
    )


def set_content_id(content: HmaContent, content_id: str, listings: ClaimListingStore) -> None:
    """Store the platform's own id for the content, which replaces an earlier id.

    Raises NotOwnContent.
    """
    until = _time_of_matching_again(content, listings)
    listings.set_listing(
        [claim.id for claim in _require_own_claims(content)], ClaimListing(content_id, until)
    )


def content_id_of(content: HmaContent, listings: ClaimListingStore) -> str:
    """Return the platform's own id for the content, or "" if it has none."""
    names = (known.content_id for known in _listings_of(content, listings).values())
    return next((content_id for content_id in names if content_id), "")


def replace_note(content: HmaContent, note: str, listings: ClaimListingStore) -> None:
    """Replace the note; raises NotOwnContent."""
    listings.set_reason([claim.id for claim in _require_own_claims(content)], note)


def delete_content(content: HmaContent, platform: Platform) -> int:
    """Withdraw the content's claims that no person registered, for good; raises NotOwnContent.

    Suspended claims on the hash are withdrawn too, since they would stay stored, and might match
    again later; to find them, all claims are read. Return 1, or 0 if all had been withdrawn before.
    """
    own = [claim.id for claim in _require_own_claims(content)]
    if content.on:  # otherwise, ``own`` are the suspended claims
        suspended = _suspended_claims_on(content.bits, content.bank, platform)
        own += [claim.id for claim in suspended if claim.holder_sha256 is None]
    return min(platform.bank.withdraw(*own), 1)


def describe_content(content: HmaContent, listings: ClaimListingStore) -> dict[str, Any]:
    """Return a content in HMA's form; fields that we do not store are empty."""
    notes = [claim.reason for claim in content.claims_without_person if claim.reason]
    until = None if content.on else _time_of_matching_again(content, listings)
    return {
        "id": content.number,
        "disable_until_ts": int(until.timestamp()) if until else int(content.on),
        "original_media_uri": None,
        "bank": describe_bank(content.bank),
        "note": notes[0] if notes else None,
    }


def describe_bank(bank: Bank) -> dict[str, Any]:
    """Return a bank in HMA's form; in shadow mode its ratio of enabled matches is 0."""
    ratio = 0.0 if bank.shadow else 1.0
    return {"name": hma_name(bank.name), "matching_enabled_ratio": ratio}


def describe_signals(content: HmaContent) -> dict[str, str]:
    return {SIGNAL_TYPE: content.bits.hex()}


def _require_own_claims(content: HmaContent) -> tuple[Claim, ...]:
    if not content.claims_without_person:
        raise NotOwnContent(why="A person registered this, so only that person can withdraw it.")
    return content.claims_without_person


def _time_of_matching_again(content: HmaContent, listings: ClaimListingStore) -> datetime | None:
    """Return the time at which the last of the content's claims matches again; None if no such time
    is stored.
    """
    times = [known.on_at for known in _listings_of(content, listings).values() if known.on_at]
    return max(times, default=None)


def _listings_of(
    content: HmaContent, listings: ClaimListingStore
) -> Mapping[ClaimId, ClaimListing]:
    return listings.listings([claim.id for claim in content.claims_without_person])


def _claims_on_hash(bits: bytes, platform: Platform) -> tuple[tuple[int, Claim], ...]:
    """Return matching claims on exactly this hash.

    The index may still return hashes that were deleted; the database leaves them out.
    """
    near = platform.index.find_near_hashes([bits], part=False)
    return platform.bank.claims_on_pictures({one.entry for one in near if one.distance == 0})


def _hash_of_claim(number: int, claim: Claim, platform: Platform) -> bytes | None:
    """Return the claim's whole-picture hash with that number, or None if the claim has no such
    hash, for example because the number belongs to a part of a picture.
    """
    hashes = platform.bank.whole_picture_hashes_of(claim.id)
    near = platform.index.find_near_hashes(hashes, part=False) if hashes else ()
    exact = (one for one in near if (one.entry, one.distance) == (number, 0))
    return next((hashes[one.query] for one in exact), None)


def _hash_numbered(number: int, platform: Platform) -> bytes | None:
    entries = platform.bank.entries(number - 1)
    if entries and entries[0].number == number and not entries[0].part:
        return entries[0].bits
    return None


def _suspended_claims_on(bits: bytes, bank: Bank, platform: Platform) -> Iterator[Claim]:
    after = 0
    while changes := platform.bank.changes(after, _CHANGES_PER_READ):
        for change in changes:
            suspended = change.state is ClaimState.SUSPENDED and change.bank == bank.name
            if suspended and bits in change.hashes:
                yield platform.bank.claim(change.claim)
        after = changes[-1].number
