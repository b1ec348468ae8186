"""Ask several relays at a time for the status of sent messages."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchEnvelope
from entrenous.base.identifiers import EnvelopeId, MessageId, PersonId
from entrenous.base.limits import TOMBSTONE_DAYS
from entrenous.device.device import Courier, Device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, Message, SendState
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.message.states import CopyEvent, next_send_state
from entrenous.send.message_index import copies_of_message, newest_sent_places
from entrenous.send.outbox import copy_in_envelope, outbox_items
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

#: States of a copy at its relay that are final (carry/relay_rows.py).
_FINAL_STATES: Final = (
    EnvelopeState.TAKEN_BACK,
    EnvelopeState.EXPIRED,
    EnvelopeState.REVOKED,
    EnvelopeState.LOST,
)
#: States of a copy that may be at its relay.
_DEPARTED_STATES: Final = (SendState.TRIED, SendState.ACKNOWLEDGED)
#: States that a relay reports only for a copy that was not opened. If we know that a copy was
#: opened, we do not believe them: a restored relay may report one.
_UNOPENED_STATES: Final = (
    *(EnvelopeState.WAITING, EnvelopeState.DELIVERED),
    *(EnvelopeState.LOST, EnvelopeState.EXPIRED),
)
# one day more than the relay's own limit, for clock errors
_RELAY_FORGETS_AFTER: Final = timedelta(days=TOMBSTONE_DAYS + 1)


@dataclass(frozen=True, slots=True)
class SentMessageStatus:
    """A message and the status of each copy that went through a relay. ``problems`` are the errors
    of relays that gave no status; the copies at these relays keep the last known status.
    """

    message: Message
    copies: tuple[CopyDelivery, ...]
    problems: tuple[EntrenousError, ...] = ()


def send_states_of(name: str, device: Device) -> frozenset[SendState]:
    """Return the states in which the copies of a message are, from waiting here to sent or refused.
    Raises UnknownMessage.
    """
    copies = copies_of_message(device.ledger.message_named(name).id, device.vault)
    return frozenset(copy.departure for copy in copies)


@dataclass(frozen=True, slots=True)
class MessageInOutbox:
    """A message with copies that still wait on this device, and the recipients of these copies."""

    message: Message
    waiting_for: tuple[PersonId, ...]


def messages_in_outbox(device: Device) -> tuple[MessageInOutbox, ...]:
    """Return the messages in the outbox; each is sent automatically once its relay answers."""
    waiting = dict[MessageId, dict[PersonId, None]]()
    for item in outbox_items(device):
        copy = copy_in_envelope(item.envelope.id, device)
        if copy is not None:
            waiting.setdefault(copy.message, {})[copy.person] = None
    return tuple(
        MessageInOutbox(device.ledger.message(one), tuple(to)) for one, to in waiting.items()
    )


@dataclass(slots=True)
class _StatusCheckResult:
    """Copies with their new status, and the errors for the others."""

    changed: dict[EnvelopeId, CopyDelivery] = field(default_factory=dict)
    problems: dict[EnvelopeId, EntrenousError] = field(default_factory=dict)


def query_sent_messages(device: Device) -> tuple[SentMessageStatus, ...]:
    """Return all messages, oldest first, with the current status of their copies; no letter is
    posted.

    If a relay does not answer or refuses, the last known status stays. Relays are not asked about
    copies that can no longer change (docs/spec/relay.md section 7). The copies are read once for
    all messages.
    """
    messages, copies = tuple(device.ledger.messages()), copies_by_message(device)
    check = _check_statuses(messages, copies, device)
    return tuple(_sent_status(message, copies[message.id], check) for message in messages)


def copies_to_query(newest: int, device: Device) -> tuple[CopyDelivery, ...]:
    """Return the copies of our newest messages whose status can still change, to ask their relays
    with :func:`query_relays`. The end of copies that no relay knows any more is recorded.
    """
    recent = dict.fromkeys(place.message for place in newest_sent_places(newest, device.vault))
    copies = {one: list(copies_of_message(one, device.vault)) for one in recent}
    messages = tuple(device.ledger.message(one) for one in recent)
    return tuple(_find_copies_to_query(messages, copies, _StatusCheckResult(), device))


def query_relays(
    copies: Iterable[CopyDelivery], courier: Courier
) -> Iterator[tuple[CopyDelivery, "RelayAnswer"]]:
    """Ask relays about copies, one after another; this needs no vault."""
    return _ask_each(list(copies), partial(_query_state, courier=courier))


def record_relay_answers(
    answers: Iterable[tuple[CopyDelivery, "RelayAnswer"]], device: Device
) -> None:
    """Record what relays said about copies; no answer, or one about a copy that has changed
    meanwhile, changes nothing.
    """
    for asked, answer in answers:
        copy = COPY_DELIVERY_TABLE.load(asked.envelope.hex(), device.vault)
        if copy != asked or isinstance(answer, EntrenousError):
            continue
        if answer is not None or copy.is_confirmed_by_relay:
            _record_status(copy, answer, device)


def copy_deliveries(message: Message, device: Device) -> tuple[CopyDelivery, ...]:
    """Return the copies of a message that went, or will go, through a relay."""
    return copies_of_message(message.id, device.vault)


def copies_by_message(device: Device) -> Mapping[MessageId, list[CopyDelivery]]:
    copies = defaultdict[MessageId, list[CopyDelivery]](list)
    for copy in COPY_DELIVERY_TABLE.all(device.vault):
        copies[copy.message].append(copy)
    return copies


def _sent_status(
    message: Message, copies: list[CopyDelivery], check: _StatusCheckResult
) -> SentMessageStatus:
    now = tuple(check.changed.get(copy.envelope, copy) for copy in copies)
    every = (check.problems.get(copy.envelope) for copy in copies)
    return SentMessageStatus(
        message, now, tuple(problem for problem in every if problem is not None)
    )


def _check_statuses(
    messages: tuple[Message, ...], copies: Mapping[MessageId, list[CopyDelivery]], device: Device
) -> _StatusCheckResult:
    check = _StatusCheckResult()
    due = _find_copies_to_query(messages, copies, check, device)
    for copy, answer in ask_relays_about(
        due, partial(_query_state, courier=device.courier), device
    ):
        if isinstance(answer, EntrenousError):
            check.problems[copy.envelope] = answer
        # a copy that is neither known to the relay nor confirmed has possibly not arrived
        elif answer is not None or copy.is_confirmed_by_relay:
            check.changed[copy.envelope] = _record_status(copy, answer, device)
    return check


def _find_copies_to_query(
    messages: tuple[Message, ...],
    copies: Mapping[MessageId, list[CopyDelivery]],
    check: _StatusCheckResult,
    device: Device,
) -> list[CopyDelivery]:
    """Return the copies whose relays have to be asked; record in ``check`` the end of those that no
    relay knows any more.
    """
    due, now = list[CopyDelivery](), time_certainly_passed(device)
    to_be_reposted = _waiting_to_be_reposted(copies, device)
    for message in messages:
        rest = [copy for copy in copies[message.id] if copy.envelope not in to_be_reposted]
        for copy in _copies_with_unsettled_status(message, rest, device):
            if message.expires_at is not None and now >= message.expires_at + _RELAY_FORGETS_AFTER:
                check.changed[copy.envelope] = _record_status(copy, None, device)
            else:
                due.append(copy)
    return due


def _waiting_to_be_reposted(
    copies: Mapping[MessageId, list[CopyDelivery]], device: Device
) -> frozenset[EnvelopeId]:
    """Return the envelopes in the outbox, which will be posted, or posted again. The result is
    empty if none of ``copies`` was posted without an answer.
    """
    every = (copy for some in copies.values() for copy in some)
    if not any(copy.departure is SendState.TRIED for copy in every):
        return frozenset()  # in the usual case, the outbox need not be read
    return frozenset(item.envelope.id for item in outbox_items(device))


def _copies_with_unsettled_status(
    message: Message, copies: list[CopyDelivery], device: Device
) -> Iterator[CopyDelivery]:
    """Yield the copies whose status can still change.

    The status of an opened copy can change until it expires, the status of a refused copy cannot. A
    copy posted without an answer may have arrived. A copy marked as expired, for example because of
    a clock that was ahead, is asked about again until it has expired.
    """
    end = message.expires_at
    ended = end is not None and device.clock.now() >= end
    for copy in copies:
        early = copy.state is EnvelopeState.EXPIRED and end is not None and not ended
        settled = copy.state in _FINAL_STATES or (ended and copy.state is EnvelopeState.OPENED)
        if copy.departure in _DEPARTED_STATES and (early or not settled):
            yield copy


def _query_state(copy: CopyDelivery, courier: Courier) -> EnvelopeStatus | None:
    """Return the relay's status; None if it no longer knows the copy."""
    try:
        return courier.envelope_status(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope:
        return None


def _record_status(
    copy: CopyDelivery, status: EnvelopeStatus | None, device: Device
) -> CopyDelivery:
    departure = copy.departure
    if status is not None and departure is SendState.TRIED:
        departure = next_send_state(departure, CopyEvent.HEAR)
    if status is None:
        # Such a copy expired long ago; if it was opened, it stays opened.
        ended = EnvelopeState.OPENED if copy.opened else EnvelopeState.EXPIRED
        status = EnvelopeStatus(ended, opened=int(copy.opened))
    opened = copy.opened or status.opened > 0
    updated = replace(
        copy,
        # A restored relay may report an earlier state.
        state=EnvelopeState.OPENED if opened and status.state in _UNOPENED_STATES else status.state,
        departure=departure,
        opened=opened,
        delivered_at=status.delivered_at or copy.delivered_at,
        opened_at=status.opened_at or copy.opened_at,
    )
    if updated != copy:
        COPY_DELIVERY_TABLE.store(updated, copy.envelope.hex(), device.vault)
    return updated


#: The relay's status of a copy, None if the relay does not know the copy, or the error if it did
#: not answer.
RelayAnswer = EnvelopeStatus | EntrenousError | None


def ask_relays_about(
    copies: Iterable[CopyDelivery],
    ask: Callable[[CopyDelivery], EnvelopeStatus | None],
    device: Device,
) -> Iterator[tuple[CopyDelivery, RelayAnswer]]:
    """Ask the relays of these copies at the same time. Return each copy with its relay's answer, in
    the order in which the answers arrive.

    ``ask`` may run in another thread, so it may only use the courier.
    """
    by_relay = dict[str, list[CopyDelivery]]()
    for copy in copies:
        by_relay.setdefault(copy.relay_url, []).append(copy)
    return device.side_by_side([_ask_each(some, ask) for some in by_relay.values()])


def _ask_each(
    copies: list[CopyDelivery], ask: Callable[[CopyDelivery], EnvelopeStatus | None]
) -> Iterator[tuple[CopyDelivery, RelayAnswer]]:
    for copy in copies:
        try:
            answer: RelayAnswer = ask(copy)
        except EntrenousError as error:
            answer = error
        yield copy, answer
