"""What devices and relays exchange: envelopes, blobs, prekeys, send tokens, and a vault's lock.

A vault's lock is the relay's part of the vault's key. Of letters and files, the relay sees only
sizes, times and encrypted bytes. It stores tokens only as hashes, which are also called "locks".
See docs/spec/relay.md and lock.md.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.language import translatable
from entrenous.base.limits import (
    BLOBS_PER_ENVELOPE_MAX,
    OPENINGS_PER_SHARE_MAX,
    SHARE_BYTES,
    TOKEN_BATCH_MAX,
    TOKEN_HASH_BYTES,
    UNANSWERED_UNLOCKS_MAX,
    UNLOCK_NUMBER_BYTES,
    UNLOCK_TOKENS_KEPT,
    VAULT_GENERATION_MAX,
)
from entrenous.base.secret import Secret


@dataclass(frozen=True, slots=True)
class UnlockAnswer:
    """The relay's answer to one attempt to unlock: the evaluated OPRF element (32 bytes), and the
    number of attempts left.
    """

    evaluated: bytes
    tries_left: int


@dataclass(frozen=True, slots=True)
class VaultUnlock:
    """One unlock of a vault, and the vault's state.

    ``generation`` is the number of unlocks that the relay has confirmed to this vault, plus one.
    ``number`` (16 random bytes) identifies this unlock. ``before`` contains the identifiers of
    earlier unlocks of the same generation: this vault reported them, but received no answer.
    """

    generation: int
    number: bytes
    before: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if any(len(number) != UNLOCK_NUMBER_BYTES for number in (self.number, *self.before)):
            raise ValueError("an unlock is identified by 16 bytes")
        if (
            not 1 <= self.generation <= VAULT_GENERATION_MAX
            or len(self.before) > UNANSWERED_UNLOCKS_MAX
        ):
            raise ValueError("a generation is at least 1, with at most 128 earlier unlocks")


class LockExists(Refused):
    """
    The relay already helps to unlock this device, but with a token other than the one in this
    request. The relay does not replace that token. Nothing was changed. Tell the people who run the
    relay.
    """


class Locked(Refused):
    """
    There were ten wrong passphrases in a row, so the relay no longer helps to unlock this device's
    vault. With your recovery sheet you can allow ten more tries: entrenous device unlock --recovery
    FILE. Without the sheet, nobody can open this vault again. Your other devices are not affected,
    and you can link a new device from one of them: entrenous device add
    """


class NoLock(NotFound):
    """
    The relay deleted this device's mailbox, and with it the secret that the relay needs to help
    unlock this device. So this device can no longer be unlocked. Your other devices are not
    affected. To link a new device, begin on one of them: entrenous device add
    """


class RolledBack(Refused):
    """
    This is an older copy of a device, for instance from a backup, and the device itself has been
    used since. Using both would make the device's conversations less secret, so this copy no longer
    sends or receives. What you sent, your originals and your cases are still here. To write from
    here again, link a new device in another folder. Begin on the device in use: entrenous device
    add. If you no longer have the device in use, set up a new one: ENTRENOUS_HOME=DIR entrenous
    setup --name YOU --relay URL
    """


@dataclass(frozen=True, slots=True)
class RelayLock:
    """Where a vault's lock is, and the tokens that a device shows there.

    ``unlock_token`` permits requests to unlock the vault and nothing else. ``earlier`` contains
    previous tokens, newest first, in case the relay does not know ``unlock_token``.
    """

    relay_url: str
    mailbox: MailboxId
    unlock_token: Secret
    earlier: tuple[Secret, ...] = ()

    def with_new_unlock_token(self, unlock_token: Secret) -> "RelayLock":
        earlier = (self.unlock_token, *self.earlier)[:UNLOCK_TOKENS_KEPT]
        return replace(self, unlock_token=unlock_token, earlier=earlier)


class EnvelopeState(StrEnum):
    """The states of an envelope; carry/relay_rows.py has the transitions between them."""

    WAITING = translatable("waiting")
    DELIVERED = translatable("delivered")
    OPENED = translatable("opened")
    TAKEN_BACK = translatable("taken back")
    EXPIRED = translatable("expired")
    REVOKED = translatable("device revoked")
    LOST = translatable("lost in a restore")


@dataclass(frozen=True, slots=True)
class ShareDeposit:
    """The relay's half of a content key.

    ``opens`` is how many times the half may be released; None means any number. The shares of one
    person's devices have the same ``group`` (16 bytes), and their releases are counted together.
    ``group`` is set if and only if ``opens`` is set.
    """

    value: Secret
    open_lock: bytes
    opens: int | None
    group: bytes | None = None

    def __post_init__(self) -> None:
        _check_sizes(
            value=(len(self.value), SHARE_BYTES), open_lock=(len(self.open_lock), TOKEN_HASH_BYTES)
        )
        if self.group is not None:
            _check_sizes(group=(len(self.group), ID_BYTES))
        if (self.opens is None) != (self.group is None):
            raise ValueError("a share has a group exactly if its openings are limited")
        if self.opens is not None and not 1 <= self.opens <= OPENINGS_PER_SHARE_MAX:
            raise ValueError(
                f"a share is released 1 to {OPENINGS_PER_SHARE_MAX} times, or any number of times"
            )


@dataclass(frozen=True, slots=True)
class Envelope:
    """One sealed letter for one mailbox."""

    id: EnvelopeId
    mailbox: MailboxId
    sealed: bytes
    expires_at: datetime
    withdraw_lock: bytes
    share: ShareDeposit | None = None
    blobs: tuple[BlobId, ...] = ()

    def __post_init__(self) -> None:
        _check_sizes(id=(len(self.id), ID_BYTES), mailbox=(len(self.mailbox), ID_BYTES))
        _check_sizes(withdraw_lock=(len(self.withdraw_lock), TOKEN_HASH_BYTES))
        _require_aware_time(self.expires_at)
        if not self.sealed or len(set(self.blobs)) != len(self.blobs):
            raise ValueError("an envelope holds sealed bytes and names each blob once")
        if len(self.blobs) > BLOBS_PER_ENVELOPE_MAX:
            raise ValueError(f"an envelope names {BLOBS_PER_ENVELOPE_MAX} blobs at most")


@dataclass(frozen=True, slots=True)
class WaitingEnvelope:
    """An envelope as its recipient receives it.

    ``sequence`` orders the envelopes of one mailbox.
    """

    id: EnvelopeId
    sequence: int
    sealed: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class BlobDeposit:
    """The announcement of a blob at the start of an upload; the blob's bytes follow as a stream."""

    id: BlobId
    mailbox: MailboxId
    size: int
    sha256: bytes
    fetch_lock: bytes
    withdraw_lock: bytes
    expires_at: datetime

    def __post_init__(self) -> None:
        _check_sizes(id=(len(self.id), ID_BYTES), mailbox=(len(self.mailbox), ID_BYTES))
        _check_sizes(
            fetch_lock=(len(self.fetch_lock), TOKEN_HASH_BYTES), sha256=(len(self.sha256), 32)
        )
        _check_sizes(withdraw_lock=(len(self.withdraw_lock), TOKEN_HASH_BYTES))
        _require_aware_time(self.expires_at)
        if self.size < 1:
            raise ValueError("a blob has at least one byte")


@dataclass(frozen=True, slots=True)
class EnvelopeStatus:
    """The state of an envelope, as reported to its sender."""

    state: EnvelopeState
    opened: int
    delivered_at: datetime | None = None
    opened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prekeys:
    """A set of prekeys of one device that were signed together.

    For the relay they are opaque bytes. Once the relay has this set, it hands out no keys of
    earlier sets (docs/spec/identity.md section 5).
    """

    one_time: tuple[bytes, ...]
    fallback: bytes
    xwing: bytes


@dataclass(frozen=True, slots=True)
class PrekeyBundle:
    """The answer to a claim of prekeys; ``one_time`` is None if no one-time key was left."""

    device: DeviceId
    one_time: bytes | None
    fallback: bytes
    xwing: bytes


@dataclass(frozen=True, slots=True)
class SendToken:
    """A send token, which permits posting envelopes to a mailbox, as the mailbox's owner registers
    it.

    ``lock`` is the token's hash.
    """

    lock: bytes
    uses: int | None
    expires_at: datetime | None

    def __post_init__(self) -> None:
        _check_sizes(lock=(len(self.lock), TOKEN_HASH_BYTES))
        if self.uses is not None and self.uses < 1:
            raise ValueError("a token admits at least one envelope")
        if self.expires_at is not None:
            _require_aware_time(self.expires_at)


@dataclass(frozen=True, slots=True)
class SendTokenChanges:
    """Hashes of send tokens ("locks") to add and to drop.

    Each added token admits one envelope until ``expires_at``. A hash has 32 bytes; each list has at
    most 4,096 of them.
    """

    add: tuple[bytes, ...]
    drop: tuple[bytes, ...]
    expires_at: datetime

    def __post_init__(self) -> None:
        for locks in (self.add, self.drop):
            _check_sizes(
                **{f"lock {place}": (len(one), TOKEN_HASH_BYTES) for place, one in enumerate(locks)}
            )
            if len(locks) > TOKEN_BATCH_MAX or len(set(locks)) != len(locks):
                raise ValueError(f"a batch names {TOKEN_BATCH_MAX} locks at most, each once")
        _require_aware_time(self.expires_at)


@dataclass(frozen=True, slots=True)
class ProtocolVersions:
    """The range of protocol versions that a relay speaks."""

    floor: int
    newest: int


def _check_sizes(**fields: tuple[int, int]) -> None:
    for name, (length, wanted) in fields.items():
        if length != wanted:
            raise ValueError(f"{name} has {wanted} bytes")


def _require_aware_time(when: datetime) -> None:
    if when.tzinfo is None:
        raise ValueError("a time must be aware, in UTC")
