"""Post what waits in the outbox, in order, to relays that may be away, busy, or refuse it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import EnvelopeId
from entrenous.model.message import CopyRefused, NotYetToBeSent, UnknownMessage
from entrenous.model.outbox import Posting
from entrenous.model.person import TwoLists
from entrenous.model.relay_problem import (
    DamagedBlob,
    Expired,
    MailboxFull,
    NoSuchBlob,
    NotUnderstood,
    ProtocolTooOld,
    TooFarAhead,
    TooMany,
    WaitsForClock,
    WrongToken,
)
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.model.window import OutOfTokens
from entrenous.ports import Device
from entrenous.send.drawers import CHORE, FORK, OUTBOX
from entrenous.send.inbox import when_in_words
from entrenous.send.letter.chores import do_chores
from entrenous.send.message.upload import OnSent, bring_blobs, is_worth_resuming, nobody_counts
from entrenous.send.outbox import (
    drop_posting,
    mark_copy,
    posting_key,
    postings,
    put_out,
    take_copy,
)
from entrenous.send.refused_dates import clocks_differ, dated_anew, why_refused
from entrenous.send.setup import finish_set_up
from entrenous.send.states import CopyEvent
from entrenous.send.tokens.posting import had_none, once_more, with_token
from entrenous.spec import UNDO_S_MAX

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


def flush(device: Device, on_sent: OnSent = nobody_counts) -> Flushed:
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
    chores = do_chores(device)
    round_ = _Round(list(chores), on_sent)
    for posting in postings(device):
        why = _held_up_by(posting, round_, chores, device) or _tried(posting, round_, device)
        if why is None:
            round_.left += 1
        else:
            round_.stayed[posting.envelope.id] = why
    return Flushed(round_.left, round_.stayed, tuple(round_.problems))


def _held_up_by(
    posting: Posting, round_: _Round, chores: list[EntrenousError], device: Device
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


def _frozen(posting: Posting, device: Device) -> TwoLists | None:
    """A message to somebody whose lists turned out to contradict each other while it waited."""
    if posting.peer is None or device.vault.get(FORK, posting.peer.split(" ")[0]) is None:
        return None
    copy = take_copy(posting.envelope.id, device)
    return None if copy is None else TwoLists(name=copy.to)


def _tried(posting: Posting, round_: _Round, device: Device) -> EntrenousError | None:
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
        put_out(again, device)
        return OutOfTokens()
    except EntrenousError as why:
        round_.problems.append(_refused(posting, why, device))
        return why
    return None


def _with_token(posting: Posting, device: Device) -> Posting | None:
    with device.vault.together():
        ready = with_token(posting, device)
        if ready is not None and ready is not posting:
            put_out(ready, device)
    return ready


def _post_in_time(
    posting: Posting, on_sent: OnSent, device: Device, dates: int = _DATED_ANEW_MAX
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
        again = dated_anew(posting, why, device)
        if again is None or not dates:
            raise clocks_differ(WaitsForClock, why, posting.relay_url, device) from None
        put_out(again, device)
        _post_in_time(again, on_sent, device, dates - 1)


def _post(posting: Posting, on_sent: OnSent, device: Device) -> None:
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
        device.vault.drop(OUTBOX, posting_key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _bring(posting: Posting, on_sent: OnSent, device: Device) -> None:
    if is_worth_resuming(posting) and not posting.begun:
        # Before the first byte leaves, so that after a crash it is asked how much came.
        put_out(replace(posting, begun=True), device)
    bring_blobs(posting, device, on_sent)


def _refused(posting: Posting, why: EntrenousError, device: Device) -> EntrenousError:
    """Drop what was refused; the problem as its sender should read it."""
    with device.vault.together():
        copy = mark_copy(posting, CopyEvent.REFUSE, device)
        drop_posting(posting, device)
    if copy is None:
        return why
    return CopyRefused(name=_name_of(copy, device), to=copy.to, why=why)


def _waiting(device: Device) -> Iterator[EnvelopeId]:
    return (posting.envelope.id for posting in postings(device))


def _name_of(copy: SealedCopy | None, device: Device) -> str:
    if copy is None:
        return "a letter"
    try:
        return device.ledger.read(copy.message).name
    except UnknownMessage:
        return "a message"
