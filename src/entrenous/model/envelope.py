"""What the relay sees: sizes, times, locks and sealed bytes (docs/spec/relay.md)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.ids import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.spec import (
    BLOBS_PER_ENVELOPE_MAX,
    LOCK_BYTES,
    OPENS_MAX,
    SHARE_BYTES,
    TOKEN_BATCH_MAX,
)


class EnvelopeState(StrEnum):
    """Where an envelope is in its life; carry/states.py holds the table."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    OPENED = "opened"
    TAKEN_BACK = "taken back"
    EXPIRED = "expired"
    REVOKED = "device revoked"
    LOST = "lost in a restore"


@dataclass(frozen=True, slots=True)
class ShareDeposit:
    """The relay's half of a content key; ``opens`` is how often it may be given out (None: any).

    Openings count together for every share of the same ``group`` (16 bytes), which is one person's
    devices; it is there exactly when ``opens`` is.
    """

    value: Secret
    open_lock: bytes
    opens: int | None
    group: bytes | None = None

    def __post_init__(self) -> None:
        _sized(value=(len(self.value), SHARE_BYTES), open_lock=(len(self.open_lock), LOCK_BYTES))
        if self.group is not None:
            _sized(group=(len(self.group), ID_BYTES))
        if (self.opens is None) != (self.group is None):
            raise ValueError("openings are counted in a group, and only then there is one")
        if self.opens is not None and not 1 <= self.opens <= OPENS_MAX:
            raise ValueError(f"a share is given out 1 to {OPENS_MAX} times, or any number of times")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One sealed letter on its way into one mailbox."""

    id: EnvelopeId
    mailbox: MailboxId
    sealed: bytes
    expires_at: datetime
    withdraw_lock: bytes
    share: ShareDeposit | None = None
    blobs: tuple[BlobId, ...] = ()

    def __post_init__(self) -> None:
        _sized(id=(len(self.id), ID_BYTES), mailbox=(len(self.mailbox), ID_BYTES))
        _sized(withdraw_lock=(len(self.withdraw_lock), LOCK_BYTES))
        _aware(self.expires_at)
        if not self.sealed or len(set(self.blobs)) != len(self.blobs):
            raise ValueError("an envelope holds sealed bytes and names each blob once")
        if len(self.blobs) > BLOBS_PER_ENVELOPE_MAX:
            raise ValueError(f"an envelope names {BLOBS_PER_ENVELOPE_MAX} blobs at most")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An envelope as it is handed over; ``sequence`` orders those of one mailbox."""

    id: EnvelopeId
    sequence: int
    sealed: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class BlobDeposit:
    """What is said about a blob when it is brought; the bytes follow as a stream."""

    id: BlobId
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    expires_at: datetime

    def __post_init__(self) -> None:
        _sized(id=(len(self.id), ID_BYTES), mailbox=(len(self.mailbox), ID_BYTES))
        _sized(fetch_lock=(len(self.fetch_lock), LOCK_BYTES), sha256=(len(self.sha256), 32))
        _sized(withdraw_lock=(len(self.withdraw_lock), LOCK_BYTES))
        _aware(self.expires_at)
        if self.size < 1:
            raise ValueError("a blob has at least one byte")


@dataclass(frozen=True, slots=True)
class EnvelopeStatus:
    """The sender's look at one of her envelopes."""

    state: EnvelopeState
    opened: int
    delivered_at: datetime | None = None
    opened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prekeys:
    """Prekeys of one device that were signed together, each opaque to the relay, which hands out
    none of an earlier set once it has these (docs/spec/identity.md section 5).
    """

    one_time: tuple[bytes, ...]
    fallback: bytes
    xwing: bytes


@dataclass(frozen=True, slots=True)
class PrekeyBundle:
    """What one claim gives out: ``one_time`` is None when none was left."""

    device: DeviceId
    one_time: bytes | None
    fallback: bytes
    xwing: bytes


@dataclass(frozen=True, slots=True)
class SendToken:
    """A capability to put envelopes into one mailbox, as its owner registers it."""

    lock: bytes
    uses: int | None
    expires_at: datetime | None

    def __post_init__(self) -> None:
        _sized(lock=(len(self.lock), LOCK_BYTES))
        if self.uses is not None and self.uses < 1:
            raise ValueError("a token admits at least one envelope")
        if self.expires_at is not None:
            _aware(self.expires_at)


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Locks of send tokens that admit one envelope each until ``expires_at``, and locks of such
    that shall not hold any longer; 32 bytes each, at most 4,096 of both.
    """

    add: tuple[bytes, ...]
    drop: tuple[bytes, ...]
    expires_at: datetime

    def __post_init__(self) -> None:
        for locks in (self.add, self.drop):
            _sized(**{f"lock {place}": (len(one), LOCK_BYTES) for place, one in enumerate(locks)})
            if len(locks) > TOKEN_BATCH_MAX or len(set(locks)) != len(locks):
                raise ValueError(f"a batch names {TOKEN_BATCH_MAX} locks at most, each once")
        _aware(self.expires_at)


@dataclass(frozen=True, slots=True)
class Protocol:
    """The protocol versions that a relay speaks."""

    floor: int
    newest: int


def _sized(**fields: tuple[int, int]) -> None:
    for name, (length, wanted) in fields.items():
        if length != wanted:
            raise ValueError(f"{name} has {wanted} bytes")


def _aware(when: datetime) -> None:
    if when.tzinfo is None:
        raise ValueError("a time is aware, in UTC")
