"""What became of the messages that were sent: ask their relays, several at the same time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchEnvelope
from entrenous.base.identifiers import EnvelopeId, MessageId
from entrenous.base.limits import TOMBSTONE_DAYS
from entrenous.device.device import Courier, Device
from entrenous.device.sent_messages import Departure, Message, SealedCopy
from entrenous.device.vault_tables import SEALED, load_records, store_record
from entrenous.send.clock_sanity import believed_now
from entrenous.send.message.states import CopyEvent, next_departure
from entrenous.send.outbox import outbox_items
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

#: Where a relay takes a copy no further (carry/envelope_states.py).
_ENDS: Final = (
    EnvelopeState.TAKEN_BACK,
    EnvelopeState.EXPIRED,
    EnvelopeState.REVOKED,
    EnvelopeState.LOST,
)
#: What may be at its relay.
_LEFT: Final = (Departure.TRIED, Departure.ACKNOWLEDGED)
#: What a copy that was opened is no more, whatever its relay says.
_BEFORE: Final = (
    *(EnvelopeState.WAITING, EnvelopeState.DELIVERED),
    *(EnvelopeState.LOST, EnvelopeState.EXPIRED),
)
_FORGOTTEN: Final = timedelta(days=TOMBSTONE_DAYS + 1)  # after its end; a day for clocks and sweeps


@dataclass(frozen=True, slots=True)
class Sent:
    """A message and, per copy that went through a relay, where it is now.

    ``problems`` are what relays answered instead of telling; those copies are as they were known.
    """

    message: Message
    copies: tuple[SealedCopy, ...]
    problems: tuple[EntrenousError, ...] = ()


@dataclass(slots=True)
class _Look:
    """Copies that were looked at, as they are now, and why others could not be asked about."""

    changed: dict[EnvelopeId, SealedCopy] = field(default_factory=dict)
    problems: dict[EnvelopeId, EntrenousError] = field(default_factory=dict)


def sent_messages(device: Device) -> tuple[Sent, ...]:
    """Every message, oldest first, with what the relays say of its copies now; nothing is posted.

    A relay that does not answer, or refuses to, leaves the state that was known before. None is
    asked about what can change no more (docs/spec/relay.md section 7). The copies of all messages
    are read once.
    """
    messages, copies = tuple(device.ledger.messages()), _by_message(device)
    look = _looked(messages, copies, device)
    return tuple(_sent(message, copies[message.id], look) for message in messages)


def sealed_copies(message: Message, device: Device) -> tuple[SealedCopy, ...]:
    """The copies of a message that went, or will go, through a relay."""
    every = load_records(SealedCopy, SEALED, device.vault)
    return tuple(copy for copy in every if copy.message == message.id)


def _by_message(device: Device) -> Mapping[MessageId, list[SealedCopy]]:
    copies = defaultdict[MessageId, list[SealedCopy]](list)
    for copy in load_records(SealedCopy, SEALED, device.vault):
        copies[copy.message].append(copy)
    return copies


def _sent(message: Message, copies: list[SealedCopy], look: _Look) -> Sent:
    now = tuple(look.changed.get(copy.envelope, copy) for copy in copies)
    every = (look.problems.get(copy.envelope) for copy in copies)
    return Sent(message, now, tuple(problem for problem in every if problem is not None))


def _looked(
    messages: tuple[Message, ...], copies: Mapping[MessageId, list[SealedCopy]], device: Device
) -> _Look:
    look, due, now = _Look(), list[SealedCopy](), believed_now(device)
    tried_again = _tried_again(copies, device)
    for message in messages:
        left = [copy for copy in copies[message.id] if copy.envelope not in tried_again]
        for copy in _living(message, left, device):
            if message.expires_at is not None and now >= message.expires_at + _FORGOTTEN:
                look.changed[copy.envelope] = _note(copy, None, device)
            else:
                due.append(copy)
    for copy, answer in ask_relays_about(due, partial(_state, courier=device.courier), device):
        if isinstance(answer, EntrenousError):
            look.problems[copy.envelope] = answer
        elif answer is not None or copy.acknowledged:  # else it may never have come there
            look.changed[copy.envelope] = _note(copy, answer, device)
    return look


def _tried_again(
    copies: Mapping[MessageId, list[SealedCopy]], device: Device
) -> frozenset[EnvelopeId]:
    """Copies of which no answer came, and that are posted again anyhow."""
    every = (copy for some in copies.values() for copy in some)
    if not any(copy.departure is Departure.TRIED for copy in every):
        return frozenset()  # as nearly always: the outbox is not read
    return frozenset(posting.envelope.id for posting in outbox_items(device))


def _living(message: Message, copies: list[SealedCopy], device: Device) -> Iterator[SealedCopy]:
    """The copies of which there can be news: one that was opened has none once its time is over,
    and one that was refused, none. Of one that was tried no answer may have come. One that was
    held to be over, as by a clock that was ahead, is asked about as long as it is not.
    """
    end = message.expires_at
    over = end is not None and device.clock.now() >= end
    for copy in copies:
        early = copy.state is EnvelopeState.EXPIRED and end is not None and not over
        settled = copy.state in _ENDS or (over and copy.state is EnvelopeState.OPENED)
        if copy.departure in _LEFT and (early or not settled):
            yield copy


def _state(copy: SealedCopy, courier: Courier) -> EnvelopeStatus | None:
    """What its relay says; None when it does not know the copy any more."""
    try:
        return courier.state(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope:
        return None


def _note(copy: SealedCopy, status: EnvelopeStatus | None, device: Device) -> SealedCopy:
    left = copy.departure
    if status is not None and left is Departure.TRIED:
        left = next_departure(left, CopyEvent.HEAR)
    if status is None:
        # Its time there is long over; that it was opened, if it was, stays true.
        over = EnvelopeState.OPENED if copy.opened else EnvelopeState.EXPIRED
        status = EnvelopeStatus(over, opened=int(copy.opened))
    opened = copy.opened or status.opened > 0
    looked = replace(
        copy,
        # Also by a relay that went back to a moment before it was.
        state=EnvelopeState.OPENED if opened and status.state in _BEFORE else status.state,
        departure=left,
        opened=opened,
        delivered_at=status.delivered_at or copy.delivered_at,
        opened_at=status.opened_at or copy.opened_at,
    )
    if looked != copy:
        store_record(looked, SEALED, copy.envelope.hex(), device.vault)
    return looked


#: What a relay says of a copy; None where there is nothing to say; or why it did not.
Answer = EnvelopeStatus | EntrenousError | None


def ask_relays_about(
    copies: Iterable[SealedCopy],
    ask: Callable[[SealedCopy], EnvelopeStatus | None],
    device: Device,
) -> Iterator[tuple[SealedCopy, Answer]]:
    """Each copy with its relay's answer, as it comes. ``ask`` may run in another thread, so it
    touches nothing but the courier.
    """
    by_relay = dict[str, list[SealedCopy]]()
    for copy in copies:
        by_relay.setdefault(copy.relay_url, []).append(copy)
    return device.side_by_side([_each(some, ask) for some in by_relay.values()])


def _each(
    copies: list[SealedCopy], ask: Callable[[SealedCopy], EnvelopeStatus | None]
) -> Iterator[tuple[SealedCopy, Answer]]:
    for copy in copies:
        try:
            answer: Answer = ask(copy)
        except EntrenousError as error:
            answer = error
        yield copy, answer
