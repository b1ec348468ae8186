"""Evidence: bytes by hash, who held them, and a trusted time. docs/spec/case.md has the formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.model.errors import Malformed, Refused, Unproven, Unreachable
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret

SALT_BYTES: Final = 32
SHA256_BYTES: Final = 32


class Level(StrEnum):
    """How much an item proves; RESPOND's ladder of assurance."""

    A0 = "A0"
    A1 = "A1"
    A2 = "A2"
    A3 = "A3"
    A4 = "A4"

    @property
    def proves(self) -> str:
        """What an item of this level proves, in words."""
        return LEVELS[self]


LEVELS: Final[Mapping[Level, str]] = {
    Level.A0: "a statement: the person says so",
    Level.A1: "the person's own screenshot or file: unchanged since it was hashed",
    Level.A2: "captured by this program: these bytes existed by then on this machine",
    Level.A3: "captured a second time by somebody else: the same content seen twice",
    Level.A4: "the platform's own receipt or answer: the addressee admits it",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One kept item. ``sha256`` never leaves the vault: what is shared is salted with ``salt``."""

    number: int
    level: Level
    what: str
    added_at: datetime
    sha256: bytes
    size_bytes: int
    salt: Secret
    blob: BlobId
    sighting: int | None = None

    def __post_init__(self) -> None:
        if len(self.sha256) != SHA256_BYTES or len(self.salt) != SALT_BYTES:
            raise ValueError("a hash and a salt have 32 bytes each")


@dataclass(frozen=True, slots=True)
class ManifestItem:
    """One line of an evidence manifest: ``commitment`` is SHA-256 over salt and bytes."""

    number: int
    level: Level
    added_at: datetime
    commitment: bytes


@dataclass(frozen=True, slots=True)
class EvidenceManifest:
    """What gets stamped: salted hashes of every item, and the custody chain's head."""

    written_at: datetime
    custody_head: bytes
    items: tuple[ManifestItem, ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """An RFC 3161 time stamp over ``manifest``, already proven against ``authorities`` (PEM).

    ``token`` is the authority's whole DER response; ``at`` is the time it states.
    """

    manifest: bytes
    token: bytes
    at: datetime
    authority_url: str
    authorities: bytes


class CustodyAct(StrEnum):
    """What was done to a case file or an item of it."""

    OPENED = "opened the case"
    STORED = "stored an item"
    READ = "read an item"
    EXPORTED = "exported an item"
    STAMPED = "stamped the evidence"
    CHANGED = "changed the case file"


@dataclass(frozen=True, slots=True)
class Custody:
    """One link of the append-only chain; docs/spec/case.md section 2.

    ``before`` and ``after`` are SHA-256 of the case file around the act, ``previous`` is the link
    before (zeros for the first), ``hash`` is of this link itself. ``item`` and ``item_sha256`` are
    None unless the act was about one item.
    """

    number: int
    at: datetime
    actor: str
    act: CustodyAct
    purpose: str
    before: bytes
    after: bytes
    previous: bytes
    hash: bytes
    item: int | None = None
    item_sha256: bytes | None = None


class NothingToStamp(Refused):
    """
    Case {name} holds no evidence yet, so there is nothing to stamp. Add a file first:
    entrenous case add {name} FILE
    """


class TooLargeToKeep(Refused):
    """
    This file has {size_mb} MB, more than the {limit_mb} MB that a case keeps in one item. Save a
    shorter or smaller version and add that.
    """


class ChainBroken(Unproven):
    """
    The record of who handled case {name} does not hold at entry {number}: {why}. Make no changes,
    keep a copy of the device's folder, and show it to somebody you trust.
    """


class EvidenceChanged(Unproven):
    """
    Item {number} of case {name} is not what was stored: its bytes have changed or are gone, so it
    proves nothing any more. If you have the original somewhere else, add it again as a new item.
    """


class NotAsStamped(Unproven):
    """
    Item {number} of case {name} is not told as it was stamped: the stamp says {stamped}, the case
    says {told}. Somebody changed the case since. Make no changes, keep a copy of the device's
    folder, and show it to somebody you trust.
    """


class StampDoesNotHold(Unproven):
    """
    The time stamp was not accepted: {why}. Nothing was changed here. If you asked for it just now,
    try again, or use another stamp authority. If it was kept before, do not rely on the time that
    it states.
    """


class AuthorityUnreachable(Unreachable):
    """
    The stamp authority at {url} did not answer. Your evidence is safe without a stamp; try again
    later, because a stamp proves only that it existed by the time of stamping.
    """


class StampRefused(Unreachable):
    """
    The stamp authority at {url} answered, but gave no stamp ({why}). Your evidence is safe without
    one. Try again later, or use another authority.
    """


class BadManifest(Malformed):
    """
    This is not an evidence manifest that Entrenous wrote, or it was changed since. Use the file
    exactly as it was exported.
    """


class NoOpenssl(Unreachable):
    """
    The stamp authority for tests needs the openssl program, and it is not installed here. Install
    it (Debian: apt install openssl), or use a stamp authority on the web.
    """
