"""All events that can happen next in a state of the system: actions of people, and failures.

A device that sent a request waits for the answer and sends nothing else meanwhile. The relay
commits requests in groups, and sends their answers once the group is on disk. A request or an
answer may be lost; then the device sends the request again. A copy of a request may also arrive
late, when no device waits for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import (
    MESSAGE_EVENT_ERRORS,
    NEXT_MESSAGE_STATE,
    CopyEvent,
    InboxState,
    MessageEvent,
    next_send_state,
)
from tests.village.explore.invariants import Violation
from tests.village.explore.relay import BLOBS_TO_DELETE, ExploredRelay, Request
from tests.village.explore.system_state import (
    CHEATING_ATTEMPT,
    DEVICE_NAMES,
    SENDER_NAME,
    Copy,
    Device,
    Pending,
    SystemState,
)

LabelledState = tuple[str, SystemState]
_POSTABLE = (SendState.WAITING, SendState.TRIED)


@dataclass
class EventGenerator:
    """Generates the events that can happen next in a state of the system.

    It records which cells of the two state tables (pairs of a state and an event) were reached.

    With ``with_group_commits``, requests wait together for the commit of their group, and the
    commit is a separate step. Otherwise each request is committed alone, and each of its outcomes
    is one event. ``answer_before_commit`` is a kind of request that the relay answers before the
    commit, a fault that the explorer must find.
    """

    relay: ExploredRelay
    with_group_commits: bool = False
    answer_before_commit: str | None = None
    copy_cells_reached: set[tuple[SendState, CopyEvent]] = field(default_factory=set)
    message_cells_reached: set[tuple[InboxState, MessageEvent]] = field(default_factory=set)

    def next_events(self, system: SystemState) -> Iterator[LabelledState]:
        """Yield each event that can happen next, with the state of the system after it."""
        yield from self._sender_events(system)
        for index in (0, 1):
            yield from self._device_events(system, index)
            yield from self._late_requests(system, index)
        if system.group:
            yield "the relay dies, and its group with it", system.after_relay_death()
            yield "the relay dies after the commit", system.after_commit()

    def commit_outcomes(self, system: SystemState) -> Iterator[LabelledState]:
        """Yield the states after the group's commit, in which each answer is received or lost.

        A commit does not count as an event.
        """
        if not system.group:
            return
        durable = system.after_commit()
        for one in system.group:
            durable = durable.on_disk(self.relay.disk_after(durable.disk, one.request, one.answer))
        awaited = [one for one in system.group if one.receiver is not None]
        for received in product((True, False), repeat=len(awaited)):
            after, lost_answers = durable, list[str]()
            for one, is_received in zip(awaited, received, strict=True):
                after = self._receive(after, one) if is_received else after
                lost_answers += [] if is_received else [one.request.kind]
            yield "commit" + (f", lost: {', '.join(lost_answers)}" if lost_answers else ""), after

    def _sender_events(self, system: SystemState) -> Iterator[LabelledState]:
        if system.awaits_answer(SENDER_NAME):
            return
        for index, copy in enumerate(system.copies):
            in_turn = index == 0 or system.copies[0].departure is not SendState.WAITING
            if copy.is_not_recalled and copy.departure in _POSTABLE and in_turn:
                tried = copy._replace(departure=self._next_copy_state(copy, CopyEvent.TRY))
                yield from self._request_events(
                    system.with_copy(index, tried), SENDER_NAME, Request("post", index)
                )
            if copy.can_be_recalled:
                begun = system.with_copy(index, copy.with_recall_begun())
                yield from self._request_events(begun, SENDER_NAME, Request("withdraw", index))

    def _device_events(self, system: SystemState, index: int) -> Iterator[LabelledState]:
        """Yield the events that are possible for one device."""
        device, name = system.devices[index], DEVICE_NAMES[index]
        if system.awaits_answer(name):
            yield f"{name} dies", system.without_receiver(name)
        elif device.has_share:
            yield f"{name} dies", system.with_device(index, device._replace(has_share=False))
            yield from self._finish_events(system, index)
        elif device.letter:
            yield from self._events_with_letter(system, index)
        elif self.relay.letter_and_blob(system.disk, index)[0]:
            yield f"{name} fetches", system.with_device(index, device._replace(letter=True))

    def _events_with_letter(self, system: SystemState, index: int) -> Iterator[LabelledState]:
        device, name = system.devices[index], DEVICE_NAMES[index]
        if not device.confirmed:
            yield from self._request_events(system, name, Request("deliver", index))
        if self._can_open(device):
            yield from self._open_events(system, index)
        if device.unreported:
            yield from self._finish_events(system, index)
        if device.shown and not device.requested >> CHEATING_ATTEMPT & 1:
            cheating = device._replace(requested=device.requested | 1 << CHEATING_ATTEMPT)
            request = Request("open", index, CHEATING_ATTEMPT)
            yield from self._request_events(system.with_device(index, cheating), name, request)
        if system.copies[index].is_recalled and device.state is not InboxState.TAKEN_BACK:
            updated = self._device_after(device, MessageEvent.TAKE_BACK)
            yield f"{name} reads the note", system.with_device(index, updated)

    def _can_open(self, device: Device) -> bool:
        if device.unreported:
            return False
        if (device.state, MessageEvent.OPEN) in MESSAGE_EVENT_ERRORS:
            self.message_cells_reached.add((device.state, MessageEvent.OPEN))
            return False
        return device.state is InboxState.WAITING or self.relay.opens is not None

    def _open_events(self, system: SystemState, index: int) -> Iterator[LabelledState]:
        """Record the attempt ID, download the blob, then request the share."""
        device, (_, whole) = system.devices[index], self.relay.letter_and_blob(system.disk, index)
        attempt = device.attempt or device.views + 1
        named = device._replace(
            attempt=attempt,
            has_blob=device.has_blob or whole,
            requested=device.requested | 1 << attempt,
        )
        request = Request("open", index, attempt)
        yield from self._request_events(
            system.with_device(index, named), DEVICE_NAMES[index], request
        )

    def _finish_events(self, system: SystemState, index: int) -> Iterator[LabelledState]:
        """Record that the message was shown, then report the finished attempt to the relay."""
        device, opens = system.devices[index], self.relay.opens
        if device.has_share:
            device = self._device_after(device, MessageEvent.OPEN)._replace(
                unreported=device.attempt, attempt=0, has_share=False, views=device.views + 1
            )
            if opens is not None and device.views >= opens:
                device = self._device_after(device, MessageEvent.USE_UP)
        request = Request("finish", index, device.unreported)
        yield from self._request_events(
            system.with_device(index, device), DEVICE_NAMES[index], request
        )

    def _late_requests(self, system: SystemState, index: int) -> Iterator[LabelledState]:
        """For each request that was sent (post, open or finish), yield the late arrival of a copy.

        Arrivals that do not change the relay's rows are left out.
        """
        device, requests = system.devices[index], []
        if system.copies[index].departure is not SendState.WAITING:
            requests.append(Request("post", index))
        for attempt in (1, 2, CHEATING_ATTEMPT):
            if device.requested >> attempt & 1:
                requests.append(Request("open", index, attempt))
            if device.views >= attempt:
                requests.append(Request("finish", index, attempt))
        for request in requests:
            for label, after in self._request_events(system, None, request):
                if after.rows != system.rows:
                    yield f"{label}, late and again", after

    def _request_events(
        self, system: SystemState, name: str | None, request: Request
    ) -> Iterator[LabelledState]:
        rows, answer = self.relay.run_request(system.rows, request)
        attempt = f", attempt {request.attempt}" if request.attempt else ""
        label = f"{name or 'the network'}: {request.kind} {request.copy + 1}{attempt}"
        if request.kind == "open" and answer == "share" and system.copies[request.copy].is_recalled:
            raise Violation(f"{label}: the share of a copy that was taken back is given out")
        pending = Pending(name, request, answer)
        state_with_pending_request = system._replace(rows=rows, group=(*system.group, pending))
        if self.answer_before_commit == request.kind:
            received = self._receive(system, pending) if name else system
            yield (
                label,
                received._replace(rows=rows, group=(*system.group, pending.without_receiver())),
            )
        elif self.with_group_commits:
            yield label, state_with_pending_request
        else:
            yield from self._outcomes_of_lone_request(label, system, state_with_pending_request)

    def _outcomes_of_lone_request(
        self, label: str, system: SystemState, state_with_pending_request: SystemState
    ) -> Iterator[LabelledState]:
        """Yield every outcome of a request that is committed alone."""
        (pending,) = state_with_pending_request.group
        durable = state_with_pending_request.after_commit()
        done = durable.on_disk(self.relay.disk_after(durable.disk, pending.request, pending.answer))
        if pending.receiver is not None:
            yield label, self._receive(done, pending)
            yield f"{label}, the relay dies before the commit", system
        yield f"{label}, its answer is lost", done
        if durable.disk != done.disk:
            yield f"{label}, the relay dies after the commit", durable

    def _receive(self, system: SystemState, pending: Pending) -> SystemState:
        request, answer = pending.request, pending.answer.partition(BLOBS_TO_DELETE)[0]
        index = request.copy
        copy, device = system.copies[index], system.devices[index]
        receivers: dict[str, Callable[[], SystemState]] = {
            "post": lambda: system.with_copy(index, self._receive_post_answer(copy, answer)),
            "withdraw": lambda: system.with_copy(index, copy.with_recall_answer(answer)),
            "deliver": lambda: system.with_device(index, device._replace(confirmed=True)),
            "finish": lambda: system.with_device(index, device._replace(unreported=0)),
            "open": lambda: system.with_device(index, self._receive_share(device, request, answer)),
        }
        return receivers[request.kind]()

    def _receive_post_answer(self, copy: Copy, answer: str) -> Copy:
        if answer not in ("True", "False"):
            raise Violation(f"a copy that was posted is refused: {answer}")
        return copy._replace(departure=self._next_copy_state(copy, CopyEvent.HEAR))

    def _receive_share(self, device: Device, request: Request, answer: str) -> Device:
        if answer == "share":
            shown = device.shown | 1 << request.attempt if device.has_blob else device.shown
            return device._replace(shown=shown, has_share=request.attempt != CHEATING_ATTEMPT)
        if request.attempt == CHEATING_ATTEMPT:
            return device
        if answer == "TakenBack":
            return self._device_after(device, MessageEvent.TAKE_BACK)
        if answer == "UsedUp":
            return self._device_after(device, MessageEvent.MISS)
        raise Violation(f"a message that was fetched does not open: {answer}")

    def _next_copy_state(self, copy: Copy, event: CopyEvent) -> SendState:
        self.copy_cells_reached.add((copy.departure, event))
        return next_send_state(copy.departure, event)

    def _device_after(self, device: Device, event: MessageEvent) -> Device:
        self.message_cells_reached.add((device.state, event))
        state = NEXT_MESSAGE_STATE[device.state, event]
        has_ended = state not in (InboxState.WAITING, InboxState.OPENED)
        attempt = 0 if has_ended else device.attempt
        return device._replace(state=state, attempt=attempt)
