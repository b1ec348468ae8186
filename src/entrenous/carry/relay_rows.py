"""The rows that a relay stores (docs/spec/relay.md section 8), and the states of an envelope.

carry/expire.py decides how long a row is kept. The states and their transitions are a table, which
is drawn in docs/machines/envelope.md.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    Malformed,
    NoSuchEnvelope,
    Refused,
    TakenBack,
)
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import EnvelopeState


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of one table.

    The relay creates about ten rows for each message, and a frozen dataclass takes eight times as
    long to create. No field refers to another row, so the garbage collector need not track rows.
    """


class StoredMailbox(Row, frozen=True):
    """A mailbox; ``last_sequence`` is the sequence of its newest envelope.

    ``close_lock`` is the hash of the token that may delete the mailbox, or None if the owner has
    set none. The owner's other devices have that token.
    """

    mailbox: MailboxId
    owner_lock: bytes
    last_sequence: int = 0
    close_lock: bytes | None = None


class DeletedMailbox(Row, frozen=True):
    """A deleted mailbox, whose id cannot be used again until ``due_at``.

    ``due_at`` is 30 days after the mailbox was emptied, and ``UNEMPTIED_MAILBOX_DUE_AT``
    (carry/expire.py) while contents are left.
    """

    mailbox: MailboxId
    due_at: datetime


class StoredLock(Row, frozen=True):
    """The relay's part of a device's vault key (docs/spec/lock.md section 2).

    ``key`` is an OPRF key of 32 bytes, and ``tries`` is the number of attempts left. ``asked`` is
    the last counted request, which may be repeated without using up another attempt. ``generation``
    is the vault's generation at its last recorded unlock, and ``opening`` is the 16 random bytes
    that identify that unlock.
    """

    mailbox: MailboxId
    key: Secret
    unlock_lock: bytes
    tries: int
    generation: int = 0
    asked: bytes | None = None
    opening: bytes | None = None


class StoredKeyBundle(Row, frozen=True):
    """A mailbox's key bundle (``card``), for holders of its send tokens; opaque to the relay."""

    mailbox: MailboxId
    card: bytes


class StoredToken(Row, frozen=True):
    """A send token.

    ``uses`` is the number of envelopes that the token admits, None for any number. ``used`` is the
    number of envelopes that were accepted with it; it is counted only if ``uses`` is a number.
    ``claims`` counts the requests for prekeys that were made with the token in the hour that began
    at ``claims_since``.
    """

    mailbox: MailboxId
    lock: bytes
    uses: int | None
    used: int
    claims: int
    claims_since: datetime
    due_at: datetime | None


class StoredOneTimeKey(Row, frozen=True):
    """An unclaimed one-time key; ``digest`` is its SHA-256."""

    mailbox: MailboxId
    device: DeviceId
    digest: bytes
    signed: bytes


class UsedOneTimeKey(Row, frozen=True):
    """A one-time key that was handed out.

    The relay remembers it, so that it cannot be published again.
    """

    mailbox: MailboxId
    device: DeviceId
    digest: bytes
    due_at: datetime


class ReusableKeys(Row, frozen=True):
    """The keys of a device that may be handed out repeatedly."""

    mailbox: MailboxId
    device: DeviceId
    fallback: bytes | None
    xwing: bytes | None


class StoredEnvelope(Row, frozen=True):
    """An envelope's state; a tombstone once ``closed_at`` is set.

    ``digest`` is the SHA-256 of everything that was posted, by which a repeated post is recognized.
    It is empty if the sender took the envelope back before the post arrived.
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


class StoredLetter(Row, frozen=True):
    """Sealed bytes whose delivery the owner of the mailbox has not confirmed yet."""

    envelope: EnvelopeId
    mailbox: MailboxId
    sequence: int
    sealed: bytes
    expires_at: datetime


class StoredShare(Row, frozen=True):
    """The relay's half of a content key, which may still be released.

    ``opens`` is the number of allowed openings; None means no limit. ``group`` names the
    :class:`StoredShareGroup` in which openings are counted.
    """

    envelope: EnvelopeId
    value: Secret
    opens: int | None
    mailbox: MailboxId
    group: bytes | None = None


class StoredShareGroup(Row, frozen=True):
    """The count of the openings of one message on all devices of one person.

    ``opens`` openings are allowed, and ``opened`` of them have happened.
    """

    group: bytes
    opens: int
    opened: int
    due_at: datetime


class StoredAttempt(Row, frozen=True):
    """An attempt to open a message, for which the share was released.

    The attempt is ``finished`` once the device has reported that it has the content.
    """

    envelope: EnvelopeId
    attempt: bytes
    finished: bool


class StoredBlob(Row, frozen=True):
    """A complete blob, whose bytes the BlobStore has under ``name``.

    ``envelope`` is the envelope that names the blob, None if there is none yet.
    """

    blob: BlobId
    name: str
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    envelope: EnvelopeId | None
    due_at: datetime


class StoredUpload(Row, frozen=True):
    """An incomplete blob, which has to be complete by ``due_at``.

    Its full ``size`` counts towards the mailbox's limit from the start.
    """

    blob: BlobId
    name: str
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    due_at: datetime


class OrphanBlob(Row, frozen=True):
    """A stored blob that has no other row; the blob's bytes are deleted at ``due_at``."""

    name: str
    due_at: datetime


class StoredRestore(Row, frozen=True):
    """When this relay was last restored from a backup; at most one row."""

    number: int
    restored_at: datetime


class StoredSweep(Row, frozen=True):
    """The time of the last sweep by any relay on this database; at most one row.

    The fields after ``number`` are those of :class:`entrenous.serving.host_checks.ClockMark`.
    """

    number: int
    swept_at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0


class StoredRelayId(Row, frozen=True):
    """The id of the relay whose database this is, 16 random bytes; at most one row."""

    number: int
    name: bytes


#: Every kind of row, with its key fields in order.
KEY_FIELDS: Final[Mapping[type, tuple[str, ...]]] = {
    StoredMailbox: ("mailbox",),
    DeletedMailbox: ("mailbox",),
    StoredLock: ("mailbox",),
    StoredKeyBundle: ("mailbox",),
    StoredToken: ("mailbox", "lock"),
    StoredOneTimeKey: ("mailbox", "device", "digest"),
    UsedOneTimeKey: ("mailbox", "device", "digest"),
    ReusableKeys: ("mailbox", "device"),
    StoredEnvelope: ("envelope",),
    StoredLetter: ("envelope",),
    StoredShare: ("envelope",),
    StoredShareGroup: ("group",),
    StoredAttempt: ("envelope", "attempt"),
    StoredBlob: ("blob",),
    StoredUpload: ("blob",),
    OrphanBlob: ("name",),
    StoredRestore: ("number",),
    StoredSweep: ("number",),
    StoredRelayId: ("number",),
}


class NewerDatabase(Refused):
    """
    A newer version of Entrenous wrote the relay's database, so the database was not used. Nothing
    was changed. Update Entrenous: {update}
    """


class OlderDatabase(Refused):
    """
    An earlier version of Entrenous wrote the relay's database, and this version cannot read it.
    Nothing was changed. Use the version that wrote it, or start with an empty database: choose
    another "data" folder or another PostgreSQL database.
    """


class UnusedDatabase(Refused):
    """
    No relay has used this database yet, so it is empty. Nothing was changed. Start the relay, which
    creates its tables: entrenous relay run
    """


class BrokenDatabase(Malformed):
    """
    The relay's database {path} cannot be used: {why}. Nothing was stored or changed. Keep that
    file, and restore the newest backup into a new folder: entrenous relay restore
    """


class EnvelopeEvent(StrEnum):
    DELIVER = "deliver"  # the owner of the mailbox has the letter on disk
    OPEN = "open"  # a holder of the open token was given the share
    USE_UP = "use up"  # all allowed openings of the share's group have happened and are finished
    WITHDRAW = "withdraw"  # the sender took the envelope back
    EXPIRE = "expire"  # the envelope's expiry has passed
    REVOKE = "revoke"  # the mailbox was deleted: the device is lost or no longer used
    RESTORE = "restore"  # the relay was restored from a backup, without shares


_WAITING: Final = EnvelopeState.WAITING
_DELIVERED: Final = EnvelopeState.DELIVERED
_OPENED: Final = EnvelopeState.OPENED
_TAKEN_BACK: Final = EnvelopeState.TAKEN_BACK
_EXPIRED: Final = EnvelopeState.EXPIRED
_REVOKED: Final = EnvelopeState.REVOKED
_LOST: Final = EnvelopeState.LOST
ENVELOPE_TRANSITIONS: Final[Mapping[tuple[EnvelopeState, EnvelopeEvent], EnvelopeState]] = {
    (_WAITING, EnvelopeEvent.DELIVER): _DELIVERED,
    (_WAITING, EnvelopeEvent.OPEN): _OPENED,
    (_WAITING, EnvelopeEvent.USE_UP): _WAITING,
    (_WAITING, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_WAITING, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_WAITING, EnvelopeEvent.REVOKE): _REVOKED,
    (_WAITING, EnvelopeEvent.RESTORE): _LOST,
    (_DELIVERED, EnvelopeEvent.DELIVER): _DELIVERED,
    (_DELIVERED, EnvelopeEvent.OPEN): _OPENED,
    (_DELIVERED, EnvelopeEvent.USE_UP): _DELIVERED,
    (_DELIVERED, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_DELIVERED, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_DELIVERED, EnvelopeEvent.REVOKE): _REVOKED,
    (_DELIVERED, EnvelopeEvent.RESTORE): _LOST,
    (_OPENED, EnvelopeEvent.DELIVER): _OPENED,
    (_OPENED, EnvelopeEvent.OPEN): _OPENED,
    (_OPENED, EnvelopeEvent.USE_UP): _OPENED,
    (_OPENED, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_OPENED, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_OPENED, EnvelopeEvent.REVOKE): _REVOKED,
    (_OPENED, EnvelopeEvent.RESTORE): _OPENED,
    (_TAKEN_BACK, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_EXPIRED, EnvelopeEvent.WITHDRAW): _EXPIRED,
    (_REVOKED, EnvelopeEvent.WITHDRAW): _REVOKED,
    (_LOST, EnvelopeEvent.WITHDRAW): _LOST,
}
ENVELOPE_REFUSALS: Final[Mapping[tuple[EnvelopeState, EnvelopeEvent], type[EntrenousError]]] = {
    (_TAKEN_BACK, EnvelopeEvent.OPEN): TakenBack,
    (_EXPIRED, EnvelopeEvent.OPEN): Expired,
    (_REVOKED, EnvelopeEvent.OPEN): NoSuchEnvelope,
    (_LOST, EnvelopeEvent.OPEN): NoSuchEnvelope,
}


def next_envelope_state(
    state: EnvelopeState, event: EnvelopeEvent, expires_at: datetime
) -> EnvelopeState:
    """Return the state after ``event``.

    Raises:
        TakenBack, Expired, NoSuchEnvelope: the envelope can no longer be opened.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in ENVELOPE_REFUSALS:
        raise ENVELOPE_REFUSALS[state, event](when=expires_at)
    return ENVELOPE_TRANSITIONS[state, event]
