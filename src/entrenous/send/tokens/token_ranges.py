"""Ranges of send tokens: the rights to write to one mailbox (docs/spec/letter.md section 9)."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.base.errors import Unreachable
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import Head
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import TokenBatch


@dataclass(frozen=True, slots=True)
class GivenWindow:
    """What one device of somebody else may write to us with.

    Tokens from index ``first`` to below ``until`` are registered, or will be before the letter that
    tells of them leaves; it was told of those below ``told``. ``unseen`` is one above the highest
    that a letter came with. ``theirs`` and ``ours`` are the heads of both persons' lists when it
    was given: when one changes, the window does. ``skipped`` are indexes below ``unseen`` that no
    letter came with and that still hold, in order; ``came`` counts the letters since ``told_at``,
    when it was last told of more (None: ``made_at``).
    """

    seed: Secret
    first: int
    unseen: int
    told: int
    until: int
    made_at: datetime
    theirs: bytes
    ours: bytes
    skipped: tuple[int, ...] = ()
    came: int = 0
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RetiredWindow:
    """A window that was replaced; what is left of it is dropped at ``drop_at``."""

    seed: Secret
    first: int
    until: int
    drop_at: datetime


@dataclass(frozen=True, slots=True)
class OldWindow:
    """A window of ours that was replaced, and still holds until ``lapses_at``."""

    seed: Secret
    until: int
    lapses_at: datetime


@dataclass(frozen=True, slots=True)
class LentToken:
    """A token of a window that another device of ours gave away."""

    index: int
    token: Secret


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device received by an earlier list than its newest, and which: it reads that mailbox
    until it comes along, and for some days more. ``head`` is None of our own devices, which write
    to each other under the newest in any case.
    """

    relay_url: str
    mailbox: MailboxId
    head: Head | None


@dataclass(frozen=True, slots=True)
class HeldWindow:
    """What we may write to one device of somebody else with.

    ``next`` is the index of the next token of ``seed``; those below ``until`` are registered there.
    ``lent`` are used before there is a seed; before that, the first token (an invite's).
    ``told_by`` is the counter of the letter that told of this seed: letters from an old mailbox may
    come after newer ones. ``place`` is where they hold, if the device is listed elsewhere by now.
    """

    seed: Secret | None = None
    next: int = 0
    until: int = 0
    old: OldWindow | None = None
    lent: tuple[LentToken, ...] = ()
    told_by: int = 0
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ToldWindow:
    """A window that a device told of in the letter with this counter, by the list ``under`` which
    it wrote that.
    """

    person: PersonId
    device: DeviceId
    seed: Secret
    first: int
    counter: int
    under: Head


@dataclass(frozen=True, slots=True)
class Promise:
    """Tokens from index ``first`` to below ``until`` that wait to be registered, and for whom."""

    person: PersonId
    seed: Secret
    first: int
    until: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Tokens that shall not hold any longer; ``told_at`` is when our relay heard so."""

    seed: Secret
    first: int
    until: int
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """What our relay is to be told, and the keys of what that settles in this vault."""

    batch: TokenBatch
    promises: tuple[str, ...]
    withdrawals: tuple[str, ...]


class OutOfTokens(Unreachable):
    """
    A device of theirs has to tell this one how to write more to it, and does so when they open
    Entrenous. What you sent waits here, and leaves by itself after that: entrenous send --resume
    """
