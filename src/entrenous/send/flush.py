"""Post what waits in the outbox, in order, to relays that may be unreachable, busy, or refuse it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import (
    DamagedBlob,
    EntrenousError,
    Expired,
    MailboxFull,
    NoSuchBlob,
    NotUnderstood,
    ProtocolTooOld,
    TooFarAhead,
    TooMany,
    Unreachable,
    WaitsForClock,
    WrongToken,
)
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import UNDO_S_MAX
from entrenous.device.device import Device
from entrenous.device.relay_lock_client import when_in_words
from entrenous.device.sent_messages import Departure, SealedCopy, UnknownMessage
from entrenous.device.vault_tables import CHORE, FORK, OUTBOX
from entrenous.send.letter.relay_tasks import do_relay_tasks
from entrenous.send.message.blob_transfer import (
    OnSent,
    ignore_sent_bytes,
    is_worth_resuming,
    upload_blobs,
)
from entrenous.send.message.draft import CopyRefused, NotYetToBeSent
from entrenous.send.message.states import CopyEvent
from entrenous.send.outbox import (
    OutboxItem,
    add_to_outbox,
    clocks_differ,
    drop_outbox_item,
    mark_copy,
    outbox_items,
    outbox_key,
    take_copy,
    why_refused,
    with_new_expiry,
)
from entrenous.send.people.people_nouns import TwoLists
from entrenous.send.set_up import finish_set_up
from entrenous.send.tokens.outbox_tokens import had_none, once_more, with_token
from entrenous.send.tokens.token_ranges import OutOfTokens

# After these a posting goes on waiting: the relay is away, busy or newer, the way damaged it, or no
# date that this device's clock gives a letter is one that the relay takes.
NOT_NOW: Final = (Unreachable, TooMany, ProtocolTooOld, NotUnderstood, DamagedBlob, WaitsForClock)
# Of these, what says nothing about other mailboxes at the same relay.
_OF_ONE_MAILBOX: Final = (NotUnderstood, DamagedBlob, MailboxFull, WaitsForClock)
_BROUGHT_AGAIN_MAX: Final = 3  # for one letter: its blobs
_DATED_ANEW_MAX: Final = 2  # it waited for too long, and its relay keeps letters for few days only
_UNDO_MAX: Final = timedelta(seconds=UNDO_S_MAX)


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


def flush(device: Device, on_sent: OnSent = ignore_sent_bytes) -> Flushed:
    """Post everything that waits and whose time has come; ``on_sent`` is told of bytes of blobs.

    A relay that does not answer keeps its own postings waiting and no others, and what it does not
    understand keeps those for the same mailbox waiting: letters must not overtake each other. A
    posting that a relay refuses is dropped, so that it never stops the ones behind it; its copy is
    marked as refused. A letter without content is not dropped for its date: it waits until this
    clock and the relay's agree. None of this is raised.
    """
    try:
        finish_set_up(device)
    except EntrenousError as error:
        return Flushed(0, dict.fromkeys(_waiting(device), error), (error,))
    chores = do_relay_tasks(device)
    round_ = _Round(list(chores), on_sent)
    for posting in outbox_items(device):
        why = _held_up_by(posting, round_, chores, device) or _tried(posting, round_, device)
        if why is None:
            round_.left += 1
        else:
            round_.stayed[posting.envelope.id] = why
    return Flushed(round_.left, round_.stayed, tuple(round_.problems))


def _held_up_by(
    posting: OutboxItem, round_: _Round, chores: list[EntrenousError], device: Device
) -> EntrenousError | None:
    """Why this posting is not even tried; None if it can be."""
    if (frozen := _frozen(posting, device)) is not None:
        return frozen  # by itself: what compares keys overtakes it
    mailbox = posting.envelope.mailbox.hex()
    for way in (posting.relay_url, mailbox):
        if way in round_.held_up:
            return round_.held_up[way]
    if posting.release_at is not None and _can_be_undone(posting.release_at, device):
        until = when_in_words(posting.release_at)
        name = _name_of(take_copy(posting.envelope.id, device), device)
        round_.held_up[mailbox] = why = NotYetToBeSent(name=name, until=until)
        return why
    promised = posting.needs is not None and device.vault.get(CHORE, posting.needs.hex())
    if promised and chores:
        round_.held_up[mailbox] = chores[0]
        return chores[0]
    return None


def _can_be_undone(until: datetime, device: Device) -> bool:
    """Whether it is not that time yet. No window is longer than an hour, so what lies farther ahead
    was noted by a clock that was set back since, and is over.
    """
    now = device.clock.now()
    return now < until <= now + _UNDO_MAX


def _frozen(posting: OutboxItem, device: Device) -> TwoLists | None:
    """A message to somebody whose lists turned out to contradict each other while it waited."""
    if posting.peer is None or device.vault.get(FORK, posting.peer.split(" ")[0]) is None:
        return None
    copy = take_copy(posting.envelope.id, device)
    return None if copy is None else TwoLists(name=copy.to)


def _tried(posting: OutboxItem, round_: _Round, device: Device) -> EntrenousError | None:
    """Post; None if that was heard, or why not, and what that holds up is noted."""
    tried = posting
    try:
        ready = _with_token(posting, device)
        if ready is None:
            if not had_none(posting):  # a hello behind it may be what it waits for
                round_.held_up[posting.envelope.mailbox.hex()] = OutOfTokens()
            return OutOfTokens()
        tried = ready  # which may lead to another relay
        _post_in_time(tried, round_.on_sent, device)
    except NOT_NOW as why:
        of_one = isinstance(why, _OF_ONE_MAILBOX)
        way = tried.envelope.mailbox.hex() if of_one else tried.relay_url
        round_.held_up[way] = why
        round_.problems.append(why)
        return why
    except WrongToken as why:
        again = once_more(tried, device)
        if again is None:
            round_.problems.append(_refused(posting, why, device))
            return why
        add_to_outbox(again, device)
        return OutOfTokens()
    except EntrenousError as why:
        round_.problems.append(_refused(posting, why, device))
        return why
    return None


def _with_token(posting: OutboxItem, device: Device) -> OutboxItem | None:
    with device.vault.together():
        ready = with_token(posting, device)
        if ready is not None and ready is not posting:
            add_to_outbox(ready, device)
    return ready


def _post_in_time(
    posting: OutboxItem, on_sent: OnSent, device: Device, dates: int = _DATED_ANEW_MAX
) -> None:
    """Post. A letter without content whose date its relay refuses is dated anew: nothing in it
    depends on that, and a relay that refuses its date does not have it.

    Raises:
        WaitsForClock: by this device's clock no date would be taken.
        ClocksDiffer, TooFarAhead, WaitedTooLong: the same of a copy, which ends when it says.
    """
    try:
        _post(posting, on_sent, device)
    except (TooFarAhead, Expired) as why:
        copy = take_copy(posting.envelope.id, device)
        if copy is not None:
            raise why_refused(why, posting, copy, device) from None
        again = with_new_expiry(posting, why, device)
        if again is None or not dates:
            raise clocks_differ(WaitsForClock, why, posting.relay_url, device) from None
        add_to_outbox(again, device)
        _post_in_time(again, on_sent, device, dates - 1)


def _post(posting: OutboxItem, on_sent: OnSent, device: Device) -> None:
    copy = take_copy(posting.envelope.id, device)
    if copy is None or copy.departure is not Departure.TRIED:
        _bring(posting, on_sent, device)
    # What was tried before may be there already, opened, and its blobs and its token used up: a
    # relay knows it again by the letter alone.
    mark_copy(posting, CopyEvent.TRY, device)
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
        mark_copy(posting, CopyEvent.HEAR, device)
        device.vault.drop(OUTBOX, outbox_key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _bring(posting: OutboxItem, on_sent: OnSent, device: Device) -> None:
    if is_worth_resuming(posting) and not posting.begun:
        # Before the first byte leaves, so that after a crash it is asked how much came.
        add_to_outbox(replace(posting, begun=True), device)
    upload_blobs(posting, device, on_sent)


def _refused(posting: OutboxItem, why: EntrenousError, device: Device) -> EntrenousError:
    """Drop what was refused; the problem as its sender should read it."""
    with device.vault.together():
        copy = mark_copy(posting, CopyEvent.REFUSE, device)
        drop_outbox_item(posting, device)
    if copy is None:
        return why
    return CopyRefused(name=_name_of(copy, device), to=copy.to, why=why)


def _waiting(device: Device) -> Iterator[EnvelopeId]:
    return (posting.envelope.id for posting in outbox_items(device))


def _name_of(copy: SealedCopy | None, device: Device) -> str:
    if copy is None:
        return "a letter"
    try:
        return device.ledger.read(copy.message).name
    except UnknownMessage:
        return "a message"
