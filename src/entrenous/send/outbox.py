"""The outbox: what was sealed leaves in order, and stays here until the relay has it on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from entrenous.model.envelope import (
    DamagedBlob,
    MailboxFull,
    NotUnderstood,
    ProtocolTooOld,
    TooMany,
)
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import EnvelopeId
from entrenous.model.message import CopyRefused, Departure, SealedCopy
from entrenous.model.outbox import Posting
from entrenous.ports import Device
from entrenous.send.drawers import CHORE, OUTBOX, SEALED, lay, take, take_all
from entrenous.send.letter.chores import do_chores
from entrenous.send.setup import finish_set_up

# After these a posting goes on waiting: the relay is away, busy or newer, or the way damaged it.
NOT_NOW: Final = (Unreachable, TooMany, ProtocolTooOld, NotUnderstood, DamagedBlob)
# Of these, what says nothing about other mailboxes at the same relay.
_OF_ONE_MAILBOX: Final = (NotUnderstood, DamagedBlob, MailboxFull)


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush achieved: how many postings left, why each of the others did not, and every
    problem that was met, once.
    """

    left: int
    stayed: Mapping[EnvelopeId, EntrenousError]
    problems: tuple[EntrenousError, ...]


@dataclass(slots=True)
class _Round:
    """One round through the outbox; ``held_up`` are relays, and mailboxes, and why."""

    problems: list[EntrenousError]
    left: int = 0
    held_up: dict[str, EntrenousError] = field(default_factory=dict)
    stayed: dict[EnvelopeId, EntrenousError] = field(default_factory=dict)


def put_out(posting: Posting, device: Device) -> None:
    """Add a posting; call it in the same transaction that moves the ratchet."""
    lay(posting, OUTBOX, _key(posting), device.vault)


def next_order(device: Device) -> int:
    """The number of the next posting: after all that wait."""
    orders = [int(key) for key, _ in device.vault.items(OUTBOX)]
    return max(orders, default=0) + 1


def flush(device: Device) -> Flushed:
    """Post everything that waits.

    A relay that does not answer keeps its own postings waiting and no others, and what it does not
    understand keeps those for the same mailbox waiting: letters must not overtake each other. A
    posting that a relay refuses is dropped, so that it never stops the ones behind it; its copy is
    marked as refused. None of this is raised.
    """
    try:
        finish_set_up(device)
    except EntrenousError as error:
        return Flushed(0, dict.fromkeys(_waiting(device), error), (error,))
    chores = do_chores(device)
    round_ = _Round(list(chores))
    for posting in list(take_all(Posting, OUTBOX, device.vault)):
        why = _held_up_by(posting, round_, chores, device) or _tried(posting, round_, device)
        if why is None:
            round_.left += 1
        else:
            round_.stayed[posting.envelope.id] = why
    return Flushed(round_.left, round_.stayed, tuple(round_.problems))


def drop_postings(envelope: bytes, device: Device) -> None:
    """Forget a posting that has not left; it need not exist."""
    for posting in list(take_all(Posting, OUTBOX, device.vault)):
        if posting.envelope.id == envelope:
            _clear(posting, device)


def drop_promises(lock: bytes, device: Device) -> None:
    """Forget what waits here and would hand out the token of this lock."""
    for posting in list(take_all(Posting, OUTBOX, device.vault)):
        if posting.needs == lock:
            _clear(posting, device)


def _waiting(device: Device) -> Iterator[EnvelopeId]:
    return (posting.envelope.id for posting in take_all(Posting, OUTBOX, device.vault))


def _held_up_by(
    posting: Posting, round_: _Round, chores: list[EntrenousError], device: Device
) -> EntrenousError | None:
    """Why this posting is not even tried; None if it can be."""
    mailbox = posting.envelope.mailbox.hex()
    for way in (posting.relay_url, mailbox):
        if way in round_.held_up:
            return round_.held_up[way]
    promised = posting.needs is not None and device.vault.get(CHORE, posting.needs.hex())
    if promised and chores:
        round_.held_up[mailbox] = chores[0]
        return chores[0]
    return None


def _tried(posting: Posting, round_: _Round, device: Device) -> EntrenousError | None:
    """Post; None if that was heard, or why not, and what that holds up is noted."""
    try:
        _post(posting, device)
    except NOT_NOW as why:
        of_one = isinstance(why, _OF_ONE_MAILBOX)
        way = posting.envelope.mailbox.hex() if of_one else posting.relay_url
        round_.held_up[way] = why
        round_.problems.append(why)
        return why
    except EntrenousError as why:
        round_.problems.append(_refused(posting, why, device))
        return why
    return None


def _post(posting: Posting, device: Device) -> None:
    for deposit, kept in posting.blobs:
        data = device.vault.kept(kept)
        device.courier.bring_blob(posting.relay_url, posting.token, deposit, data)
    _mark(posting, Departure.TRIED, device)
    device.courier.post(posting.relay_url, posting.token, posting.envelope)
    with device.vault.together():
        _mark(posting, Departure.ACKNOWLEDGED, device)
        device.vault.drop(OUTBOX, _key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _refused(posting: Posting, why: EntrenousError, device: Device) -> EntrenousError:
    """Drop what was refused; the problem as its sender should read it."""
    with device.vault.together():
        copy = _mark(posting, Departure.REFUSED, device)
        _clear(posting, device)
    if copy is None:
        return why
    sent = (message.name for message in device.ledger.messages() if message.id == copy.message)
    return CopyRefused(name=next(sent, "a message"), to=copy.to, why=why)


def _mark(posting: Posting, departure: Departure, device: Device) -> SealedCopy | None:
    """Note how far a copy has come; None if this posting carries none (a greeting, a recall)."""
    key = posting.envelope.id.hex()
    copy = take(SealedCopy, SEALED, key, device.vault)
    if copy is not None and copy.departure is not departure:
        lay(replace(copy, departure=departure), SEALED, key, device.vault)
    return copy


def _clear(posting: Posting, device: Device) -> None:
    device.vault.drop(OUTBOX, _key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _key(posting: Posting) -> str:
    return f"{posting.order:012d}"
