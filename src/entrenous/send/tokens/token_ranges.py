"""Ranges of send tokens, which permit writing to one mailbox (docs/spec/letter.md section 9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.base.errors import Unreachable
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import DeviceListHead
from entrenous.base.secret import Secret
from entrenous.device.vault_tables import (
    ANNOUNCED_TOKEN_RANGE,
    HELD_TOKEN_RANGE,
    ISSUED_TOKEN_RANGE,
    RETIRED_TOKEN_RANGE,
    TOKEN_CHANGE_BATCH,
    TOKEN_REGISTRATION,
    TOKEN_WITHDRAWAL,
    WITHDRAWN_TOKEN,
    Table,
)
from entrenous.wire.relay_nouns import SendTokenChanges


@dataclass(frozen=True, slots=True)
class IssuedRange:
    """A token range issued to one device of another person.

    Tokens from index ``first`` to below ``until`` are registered, or will be before a letter hands
    them out; indexes below ``handed_out`` were handed out. ``next_unused`` is one above the highest
    index that a letter arrived with. ``theirs`` and ``ours`` are the heads (hashes) of the two
    people's device lists at the time of issue; when either changes, the range is replaced.
    ``skipped`` lists, in order, the indexes below ``next_unused`` that no letter has used and that
    are still valid. ``used_count`` is the number of letters since the last top-up
    (``topped_up_at``), or since ``made_at`` if there was none.
    """

    seed: Secret
    first: int
    next_unused: int
    handed_out: int
    until: int
    made_at: datetime
    theirs: bytes
    ours: bytes
    skipped: tuple[int, ...] = ()
    used_count: int = 0
    topped_up_at: datetime | None = None


ISSUED_TOKEN_RANGE_TABLE: Final = Table(ISSUED_TOKEN_RANGE, IssuedRange)


@dataclass(frozen=True, slots=True)
class RetiredIssuedRange:
    """A replaced range that we issued; its remaining tokens are withdrawn at ``drop_at``."""

    seed: Secret
    first: int
    until: int
    drop_at: datetime


RETIRED_TOKEN_RANGE_TABLE: Final = Table(RETIRED_TOKEN_RANGE, RetiredIssuedRange)


@dataclass(frozen=True, slots=True)
class ReplacedHeldRange:
    """A replaced range that we received, valid until ``lapses_at``."""

    seed: Secret
    until: int
    lapses_at: datetime


@dataclass(frozen=True, slots=True)
class LentToken:
    """A token from a range of another of our own devices."""

    index: int
    token: Secret


@dataclass(frozen=True, slots=True)
class TokenMailbox:
    """A device's mailbox according to an older device list of its owner, and the head (hash) of
    that list.

    The device reads that mailbox until it has moved, and for some days more. ``head`` is None for
    our own devices, which always write to each other under the newest list.
    """

    relay_url: str
    mailbox: MailboxId
    head: DeviceListHead | None


@dataclass(frozen=True, slots=True)
class HeldTokens:
    """The tokens for writing to one device of another person.

    ``next`` is the index of the next token of ``seed``; the tokens below ``until`` are registered.
    While there is no seed, the ``lent`` tokens are used; if there are none, the first token (an
    invite's) is used. ``seed_letter_counter`` is the counter of the letter that brought this seed;
    it is needed since letters from an old mailbox may arrive after newer ones. ``old`` is the range
    that this seed replaced. ``place`` is the mailbox where the tokens are valid, if the device is
    listed at another one now.
    """

    seed: Secret | None = None
    next: int = 0
    until: int = 0
    old: ReplacedHeldRange | None = None
    lent: tuple[LentToken, ...] = ()
    seed_letter_counter: int = 0
    place: TokenMailbox | None = None


HELD_TOKEN_RANGE_TABLE: Final = Table(HELD_TOKEN_RANGE, HeldTokens)


@dataclass(frozen=True, slots=True)
class AnnouncedRange:
    """A token range that arrived in a letter; ``under`` is the device list under which it was
    written.
    """

    person: PersonId
    device: DeviceId
    seed: Secret
    first: int
    counter: int
    under: DeviceListHead


ANNOUNCED_TOKEN_RANGE_TABLE: Final = Table(ANNOUNCED_TOKEN_RANGE, AnnouncedRange)


@dataclass(frozen=True, slots=True)
class QueuedRegistration:
    """Tokens from index ``first`` to below ``until`` that wait to be registered, and for whom."""

    person: PersonId
    seed: Secret
    first: int
    until: int


TOKEN_REGISTRATION_TABLE: Final = Table(TOKEN_REGISTRATION, QueuedRegistration)


@dataclass(frozen=True, slots=True)
class TokenWithdrawal:
    """Tokens to be withdrawn; ``reported_at`` is when our relay was asked to withdraw them."""

    seed: Secret
    first: int
    until: int
    reported_at: datetime | None = None


WITHDRAWN_TOKEN_TABLE: Final = Table(WITHDRAWN_TOKEN, TokenWithdrawal)


TOKEN_WITHDRAWAL_TABLE: Final = Table(TOKEN_WITHDRAWAL, TokenWithdrawal)


@dataclass(frozen=True, slots=True)
class TokenChangeBatch:
    """A batch for our relay, and the vault keys of the records that it settles."""

    batch: SendTokenChanges
    promises: tuple[str, ...]
    withdrawals: tuple[str, ...]


TOKEN_CHANGE_BATCH_TABLE: Final = Table(TOKEN_CHANGE_BATCH, TokenChangeBatch)


class OutOfTokens(Unreachable):
    """
    Before you can write to this person again, one of their devices has to send this device new
    permissions to write. That happens when the person opens Entrenous. Your message waits here, and
    is sent when this device fetches the new permissions. To look for them now: entrenous inbox
    """
