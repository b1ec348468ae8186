"""The rows that a relay stores (docs/spec/relay.md section 8); carry/expire.py says for how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.base.errors import Malformed, Refused
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import EnvelopeState


@dataclass(frozen=True, slots=True)
class HeldMailbox:
    """A mailbox; ``last_sequence`` is what its newest envelope was given.

    ``close_lock`` is of the token that deletes it, held by its owner's other devices; None until
    the owner named one.
    """

    mailbox: MailboxId
    owner_lock: bytes
    last_sequence: int = 0
    close_lock: bytes | None = None


@dataclass(frozen=True, slots=True)
class GoneMailbox:
    """That a mailbox was deleted, so that nobody takes its name before everybody has heard."""

    mailbox: MailboxId
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HeldLock:
    """The relay's part of a device's vault key (docs/spec/lock.md section 2).

    ``key`` is an OPRF key of 32 bytes; ``tries`` how many questions are left; ``asked`` the last
    one that was counted, so that its repeat is not; ``generation`` that of the vault that opened
    last, ``opening`` the number of that very opening.
    """

    mailbox: MailboxId
    key: Secret
    unlock_lock: bytes
    tries: int
    generation: int = 0
    asked: bytes | None = None
    opening: bytes | None = None


@dataclass(frozen=True, slots=True)
class HeldCard:
    """The card that a mailbox shows to holders of its send tokens; opaque."""

    mailbox: MailboxId
    card: bytes


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A send token: how often it may be and was used, and its claims in the hour since then."""

    mailbox: MailboxId
    lock: bytes
    uses: int | None
    used: int
    claims: int
    claims_since: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A one-time key that nobody has claimed yet; ``digest`` is its SHA-256."""

    mailbox: MailboxId
    device: DeviceId
    digest: bytes
    signed: bytes


@dataclass(frozen=True, slots=True)
class SpentKey:
    """That a one-time key was handed out, so that publishing it again does not bring it back."""

    mailbox: MailboxId
    device: DeviceId
    digest: bytes
    due_at: datetime


@dataclass(frozen=True, slots=True)
class LastingKeys:
    """The keys of a device that may be handed out again and again."""

    mailbox: MailboxId
    device: DeviceId
    fallback: bytes | None
    xwing: bytes | None


@dataclass(frozen=True, slots=True)
class HeldEnvelope:
    """Where an envelope is; all that is left of it once ``closed_at`` is set (a tombstone).

    ``digest`` is of everything that was posted, so that a repeat is known as one; empty where
    nothing was, but its sender took it back already.
    """

    envelope: EnvelopeId
    digest: bytes
    withdraw_lock: bytes
    open_lock: bytes | None
    state: EnvelopeState
    opened: int
    expires_at: datetime
    delivered_at: datetime | None
    opened_at: datetime | None
    closed_at: datetime | None
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HeldLetter:
    """Sealed bytes that the owner of the mailbox has not got yet."""

    envelope: EnvelopeId
    mailbox: MailboxId
    sequence: int
    sealed: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HeldShare:
    """A share that may still be given out; ``group`` counts its attempts when ``opens`` is set."""

    envelope: EnvelopeId
    value: Secret
    opens: int | None
    mailbox: MailboxId
    group: bytes | None = None


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """How often the copies of one message to the devices of one person were opened together."""

    group: bytes
    opens: int
    opened: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HeldAttempt:
    """One attempt that was given a share; ``finished`` once its device has the content on disk."""

    envelope: EnvelopeId
    attempt: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class HeldBlob:
    """A blob; its bytes lie in the BlobStore as ``name``; ``envelope`` is the one that names it."""

    blob: BlobId
    name: str
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    envelope: EnvelopeId | None
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HeldUpload:
    """A blob of which a part is here, or nothing yet; what is missing may follow until it is due.

    It counts with its whole ``size`` from the moment that it begins.
    """

    blob: BlobId
    name: str
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Leftover:
    """A name in the BlobStore that no blob owns (any more, or not yet); to be removed when due."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HeldRestore:
    """When this relay was last restored from a backup; there is one such row at most."""

    number: int
    restored_at: datetime


@dataclass(frozen=True, slots=True)
class HeldSweep:
    """Until when all was ended that was due; there is one such row at most.

    Relays that share a database share it.
    """

    number: int
    swept_at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0


@dataclass(frozen=True, slots=True)
class HeldRelay:
    """Whose database this is, 16 random bytes; there is one such row at most."""

    number: int
    name: bytes


#: Every kind of row with the fields that identify one, in order.
HELD: Final[Mapping[type, tuple[str, ...]]] = {
    HeldMailbox: ("mailbox",),
    GoneMailbox: ("mailbox",),
    HeldLock: ("mailbox",),
    HeldCard: ("mailbox",),
    HeldToken: ("mailbox", "lock"),
    HeldKey: ("mailbox", "device", "digest"),
    SpentKey: ("mailbox", "device", "digest"),
    LastingKeys: ("mailbox", "device"),
    HeldEnvelope: ("envelope",),
    HeldLetter: ("envelope",),
    HeldShare: ("envelope",),
    HeldGroup: ("group",),
    HeldAttempt: ("envelope", "attempt"),
    HeldBlob: ("blob",),
    HeldUpload: ("blob",),
    Leftover: ("name",),
    HeldRestore: ("number",),
    HeldSweep: ("number",),
    HeldRelay: ("number",),
}


class NewerDatabase(Refused):
    """
    The relay's database was written by a newer Entrenous, so it was not touched. Update
    Entrenous: {update}
    """


class OlderDatabase(Refused):
    """
    The relay's database was written by an earlier Entrenous, and this one cannot read it, so it
    was not touched. Run it with the Entrenous that wrote it, or start with an empty database:
    another "data" folder or another PostgreSQL.
    """


class UnusedDatabase(Refused):
    """
    No relay has used this database yet, so there is nothing in it, and nothing was changed. Start
    the relay, which creates its tables: entrenous relay run
    """


class BrokenDatabase(Malformed):
    """
    The relay's database {path} cannot be used: {why}. Nothing was saved or changed. Keep that file,
    and restore the newest backup into a new folder: entrenous relay restore
    """
