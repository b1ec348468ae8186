"""The outbox: what was sealed leaves in order, and stays here until the relay has it on disk.

What can still be undone stays until its time, whatever happened meanwhile: that rule is in the
record of the posting, so that a crash lets nothing out early.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import EnvelopeId
from entrenous.model.message import CopyRefused, NotYetToBeSent, UnknownMessage
from entrenous.model.outbox import Posting
from entrenous.model.relay_problem import (
    DamagedBlob,
    MailboxFull,
    NoSuchBlob,
    NotUnderstood,
    ProtocolTooOld,
    TooMany,
    WrongToken,
)
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.model.window import OutOfTokens
from entrenous.ports import Device
from entrenous.send.drawers import CHORE, OUTBOX, SEALED, lay, take
from entrenous.send.inbox import when_in_words
from entrenous.send.letter.chores import do_chores
from entrenous.send.message.upload import OnSent, bring_blobs, is_worth_resuming, nobody_counts
from entrenous.send.setup import finish_set_up
from entrenous.send.states import CopyEvent, next_departure
from entrenous.send.tokens.posting import had_none, once_more, with_token

# After these a posting goes on waiting: the relay is away, busy or newer, or the way damaged it.
NOT_NOW: Final = (Unreachable, TooMany, ProtocolTooOld, NotUnderstood, DamagedBlob)
# Of these, what says nothing about other mailboxes at the same relay.
_OF_ONE_MAILBOX: Final = (NotUnderstood, DamagedBlob, MailboxFull)
_BROUGHT_AGAIN_MAX: Final = 3  # for one letter: its blobs


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
    on_sent: OnSent
    left: int = 0
    held_up: dict[str, EntrenousError] = field(default_factory=dict)
    stayed: dict[EnvelopeId, EntrenousError] = field(default_factory=dict)


def put_out(posting: Posting, device: Device) -> None:
    """Add a posting; call it in the same transaction that moves the ratchet."""
    lay(posting, OUTBOX, _key(posting), device.vault)


def next_order(device: Device) -> int:
    """The number of the next posting: after all that wait."""
    return max(map(int, device.vault.keys(OUTBOX)), default=0) + 1


def flush(device: Device, on_sent: OnSent = nobody_counts) -> Flushed:
    """Post everything that waits and whose time has come; ``on_sent`` is told of bytes of blobs.

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
    round_ = _Round(list(chores), on_sent)
    for posting in _postings(device):
        why = _held_up_by(posting, round_, chores, device) or _tried(posting, round_, device)
        if why is None:
            round_.left += 1
        else:
            round_.stayed[posting.envelope.id] = why
    return Flushed(round_.left, round_.stayed, tuple(round_.problems))


def waiting_bytes(device: Device) -> int:
    """How many bytes of blobs wait to be brought."""
    return sum(posting.blob_bytes for posting in _postings(device))


def drop_postings(envelopes: Collection[EnvelopeId], device: Device) -> None:
    """Forget postings that have not left; they need not exist."""
    for posting in _postings(device):
        if posting.envelope.id in envelopes:
            _clear(posting, device)


def refuse_postings(whose: str, device: Device, *, but_recalls: bool = False) -> None:
    """Forget what waits here for a device (send/drawers.py: ``peer_key``), or, given the beginning
    of that, for all of a person's; copies among it count as refused. Call it in a transaction.
    """
    for posting in _postings(device):
        goes = but_recalls and posting.recalls
        if posting.peer is not None and posting.peer.startswith(whose) and not goes:
            _mark(posting, CopyEvent.REFUSE, device)
            _clear(posting, device)


def drop_promises(lock: bytes, device: Device) -> None:
    """Forget what waits here and would hand out the token of this lock."""
    for posting in _postings(device):
        if posting.needs == lock:
            _clear(posting, device)


def drop_every_promise(device: Device) -> None:
    """Forget all that waits here and would hand out tokens: they are of no use any more."""
    for posting in _postings(device):
        if posting.needs is not None:
            _clear(posting, device)


def _postings(device: Device) -> Iterator[Posting]:
    """Those that wait now, in order; one of them in memory at a time."""
    for key in device.vault.keys(OUTBOX):
        posting = take(Posting, OUTBOX, key, device.vault)
        if posting is not None:
            yield posting


def _waiting(device: Device) -> Iterator[EnvelopeId]:
    return (posting.envelope.id for posting in _postings(device))


def _held_up_by(
    posting: Posting, round_: _Round, chores: list[EntrenousError], device: Device
) -> EntrenousError | None:
    """Why this posting is not even tried; None if it can be."""
    mailbox = posting.envelope.mailbox.hex()
    for way in (posting.relay_url, mailbox):
        if way in round_.held_up:
            return round_.held_up[way]
    if posting.release_at is not None and device.clock.now() < posting.release_at:
        until = when_in_words(posting.release_at)
        name = _name_of(take_copy(posting.envelope.id, device), device)
        round_.held_up[mailbox] = why = NotYetToBeSent(name=name, until=until)
        return why
    promised = posting.needs is not None and device.vault.get(CHORE, posting.needs.hex())
    if promised and chores:
        round_.held_up[mailbox] = chores[0]
        return chores[0]
    return None


def _tried(posting: Posting, round_: _Round, device: Device) -> EntrenousError | None:
    """Post; None if that was heard, or why not, and what that holds up is noted."""
    ready: Posting | None = None
    try:
        ready = _with_token(posting, device)
        if ready is None:
            if not had_none(posting):  # a hello behind it may be what it waits for
                round_.held_up[posting.envelope.mailbox.hex()] = OutOfTokens()
            return OutOfTokens()
        _post(ready, round_.on_sent, device)
    except NOT_NOW as why:
        of_one = isinstance(why, _OF_ONE_MAILBOX)
        way = posting.envelope.mailbox.hex() if of_one else posting.relay_url
        round_.held_up[way] = why
        round_.problems.append(why)
        return why
    except WrongToken as why:
        again = once_more(ready or posting, device)
        if again is None:
            round_.problems.append(_refused(posting, why, device))
            return why
        lay(again, OUTBOX, _key(again), device.vault)
        return OutOfTokens()
    except EntrenousError as why:
        round_.problems.append(_refused(posting, why, device))
        return why
    return None


def _with_token(posting: Posting, device: Device) -> Posting | None:
    with device.vault.together():
        ready = with_token(posting, device)
        if ready is not None and ready is not posting:
            lay(ready, OUTBOX, _key(ready), device.vault)
    return ready


def _post(posting: Posting, on_sent: OnSent, device: Device) -> None:
    copy = take_copy(posting.envelope.id, device)
    if copy is None or copy.departure is not Departure.TRIED:
        _bring(posting, on_sent, device)
    # What was tried before may be there already, opened, and its blobs and its token used up: a
    # relay knows it again by the letter alone.
    _mark(posting, CopyEvent.TRY, device)
    for _ in range(_BROUGHT_AGAIN_MAX):
        try:
            device.courier.post(posting.relay_url, posting.token, posting.envelope)
            break
        except NoSuchBlob:
            # It never came there, or this machine slept for longer than a relay keeps blobs.
            _bring(posting, on_sent, device)
    else:
        device.courier.post(posting.relay_url, posting.token, posting.envelope)
    with device.vault.together():
        _mark(posting, CopyEvent.HEAR, device)
        device.vault.drop(OUTBOX, _key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _bring(posting: Posting, on_sent: OnSent, device: Device) -> None:
    if is_worth_resuming(posting) and not posting.begun:
        # Before the first byte leaves, so that after a crash it is asked how much came.
        lay(replace(posting, begun=True), OUTBOX, _key(posting), device.vault)
    bring_blobs(posting, device, on_sent)


def _refused(posting: Posting, why: EntrenousError, device: Device) -> EntrenousError:
    """Drop what was refused; the problem as its sender should read it."""
    with device.vault.together():
        copy = _mark(posting, CopyEvent.REFUSE, device)
        _clear(posting, device)
    if copy is None:
        return why
    return CopyRefused(name=_name_of(copy, device), to=copy.to, why=why)


def take_copy(envelope: EnvelopeId, device: Device) -> SealedCopy | None:
    """The copy that this envelope carries; None for a greeting, a recall and the like."""
    return take(SealedCopy, SEALED, envelope.hex(), device.vault)


def _name_of(copy: SealedCopy | None, device: Device) -> str:
    if copy is None:
        return "a letter"
    try:
        return device.ledger.read(copy.message).name
    except UnknownMessage:
        return "a message"


def _mark(posting: Posting, event: CopyEvent, device: Device) -> SealedCopy | None:
    """Note how far a copy has come; None if this posting carries none."""
    copy = take_copy(posting.envelope.id, device)
    if copy is None:
        return None
    departure = next_departure(copy.departure, event)
    if departure is not copy.departure:
        key = posting.envelope.id.hex()
        lay(replace(copy, departure=departure), SEALED, key, device.vault)
    return copy


def _clear(posting: Posting, device: Device) -> None:
    device.vault.drop(OUTBOX, _key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _key(posting: Posting) -> str:
    return f"{posting.order:012d}"
