"""Everything that can happen next in a scene: what people do, and what fails.

A device that sent a request waits for its answer and sends nothing else meanwhile. Answers leave
when the group is durable. Each may be lost, and so may a request, which is sent again then. A
request may also arrive once more, late, when nobody waits for its answer any more.
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
from tests.village.explore.nevers import Broken
from tests.village.explore.relay import LEAVING, Explored, Request
from tests.village.explore.scene import CHEAT, DEVICES, SENDER, Copy, Device, Pending, Scene

Event = tuple[str, Scene]
_POSTABLE = (SendState.WAITING, SendState.TRIED)


@dataclass
class Rules:
    """The state tables of both ends and the relay's rules; records which table cells were reached.

    With ``groups``, requests wait together for the commit of their group, and each step is an event
    of its own; otherwise a request is committed alone, and its outcomes are cases of one event.
    ``early`` is a request that the relay answers before the commit, which the explorer must find.
    """

    relay: Explored
    groups: bool = False
    early: str | None = None
    copies_met: set[tuple[SendState, CopyEvent]] = field(default_factory=set)
    messages_met: set[tuple[InboxState, MessageEvent]] = field(default_factory=set)

    def happens(self, scene: Scene) -> Iterator[Event]:
        """Yield what can happen next; each is one event."""
        yield from self._sender(scene)
        for place in (0, 1):
            yield from self._device(scene, place)
            yield from self._late(scene, place)
        if scene.group:
            yield "the relay dies, and its group with it", scene.lost()
            yield "the relay dies after the commit", scene.kept()

    def commits(self, scene: Scene) -> Iterator[Event]:
        """Yield the scenes after the commit, with each answer received or lost; it is no event."""
        if not scene.group:
            return
        durable = scene.kept()
        for one in scene.group:
            durable = durable.on(self.relay.after(durable.disk, one.request, one.said))
        listening = [one for one in scene.group if one.whose is not None]
        for heard in product((True, False), repeat=len(listening)):
            after, lost = durable, list[str]()
            for one, hears in zip(listening, heard, strict=True):
                after = self._hears(after, one) if hears else after
                lost += [] if hears else [one.request.what]
            yield "commit" + (f", lost: {', '.join(lost)}" if lost else ""), after

    def _sender(self, scene: Scene) -> Iterator[Event]:
        if scene.listens(SENDER):
            return
        for place, copy in enumerate(scene.copies):
            in_turn = place == 0 or scene.copies[0].departure is not SendState.WAITING
            if copy.untouched and copy.departure in _POSTABLE and in_turn:
                tried = copy._replace(departure=self._departs(copy, CopyEvent.TRY))
                yield from self._asks(scene.with_copy(place, tried), SENDER, Request("post", place))
            if copy.may_be_recalled:
                begun = scene.with_copy(place, copy.begun())
                yield from self._asks(begun, SENDER, Request("withdraw", place))

    def _device(self, scene: Scene, place: int) -> Iterator[Event]:
        """Yield what one device can do; while its program shows a message, it does nothing else."""
        device, whose = scene.devices[place], DEVICES[place]
        if scene.listens(whose):
            yield f"{whose} dies", scene.deaf(whose)
        elif device.holding:
            yield f"{whose} dies", scene.with_device(place, device._replace(holding=False))
            yield from self._finishes(scene, place)
        elif device.letter:
            yield from self._has_letter(scene, place)
        elif self.relay.shows(scene.disk, place)[0]:
            yield f"{whose} fetches", scene.with_device(place, device._replace(letter=True))

    def _has_letter(self, scene: Scene, place: int) -> Iterator[Event]:
        device, whose = scene.devices[place], DEVICES[place]
        if not device.told:
            yield from self._asks(scene, whose, Request("deliver", place))
        if self._can_open(device):
            yield from self._opens(scene, place)
        if device.finish:
            yield from self._finishes(scene, place)
        if device.seen and not device.asked >> CHEAT & 1:
            again = device._replace(asked=device.asked | 1 << CHEAT)
            request = Request("open", place, CHEAT)
            yield from self._asks(scene.with_device(place, again), whose, request)
        if scene.copies[place].is_recalled and device.state is not InboxState.TAKEN_BACK:
            noted = self._goes(device, MessageEvent.TAKE_BACK)
            yield f"{whose} reads the note", scene.with_device(place, noted)

    def _can_open(self, device: Device) -> bool:
        if device.finish:
            return False
        if (device.state, MessageEvent.OPEN) in MESSAGE_EVENT_ERRORS:
            self.messages_met.add((device.state, MessageEvent.OPEN))
            return False
        return device.state is InboxState.WAITING or self.relay.opens is not None

    def _opens(self, scene: Scene, place: int) -> Iterator[Event]:
        """Name the attempt, download the blob, then ask for the share."""
        device, (_, whole) = scene.devices[place], self.relay.shows(scene.disk, place)
        attempt = device.attempt or device.views + 1
        named = device._replace(
            attempt=attempt, parts=device.parts or whole, asked=device.asked | 1 << attempt
        )
        request = Request("open", place, attempt)
        yield from self._asks(scene.with_device(place, named), DEVICES[place], request)

    def _finishes(self, scene: Scene, place: int) -> Iterator[Event]:
        """Record that a message was shown, then report to the relay that the attempt is over."""
        device, opens = scene.devices[place], self.relay.opens
        if device.holding:
            device = self._goes(device, MessageEvent.OPEN)._replace(
                finish=device.attempt, attempt=0, holding=False, views=device.views + 1
            )
            if opens is not None and device.views >= opens:
                device = self._goes(device, MessageEvent.USE_UP)
        request = Request("finish", place, device.finish)
        yield from self._asks(scene.with_device(place, device), DEVICES[place], request)

    def _late(self, scene: Scene, place: int) -> Iterator[Event]:
        """Let an earlier request arrive once more, if that changes the relay's rows."""
        device, asked = scene.devices[place], []
        if scene.copies[place].departure is not SendState.WAITING:
            asked.append(Request("post", place))
        for attempt in (1, 2, CHEAT):
            if device.asked >> attempt & 1:
                asked.append(Request("open", place, attempt))
            if device.views >= attempt:
                asked.append(Request("finish", place, attempt))
        for request in asked:
            for label, after in self._asks(scene, None, request):
                if after.rows != scene.rows:
                    yield f"{label}, late and again", after

    def _asks(self, scene: Scene, whose: str | None, request: Request) -> Iterator[Event]:
        rows, said = self.relay.asked(scene.rows, request)
        attempt = f", attempt {request.attempt}" if request.attempt else ""
        label = f"{whose or 'the network'}: {request.what} {request.copy + 1}{attempt}"
        if request.what == "open" and said == "share" and scene.copies[request.copy].is_recalled:
            raise Broken(f"{label}: the share of a copy that was taken back is given out")
        pending = Pending(whose, request, said)
        waits = scene._replace(rows=rows, group=(*scene.group, pending))
        if self.early == request.what:
            heard = self._hears(scene, pending) if whose else scene
            yield label, heard._replace(rows=rows, group=(*scene.group, pending.unheard()))
        elif self.groups:
            yield label, waits
        else:
            yield from self._at_once(label, scene, waits)

    def _at_once(self, label: str, scene: Scene, waits: Scene) -> Iterator[Event]:
        """Yield every outcome of a request that is committed alone."""
        (pending,) = waits.group
        durable = waits.kept()
        done = durable.on(self.relay.after(durable.disk, pending.request, pending.said))
        if pending.whose is not None:
            yield label, self._hears(done, pending)
            yield f"{label}, the relay dies before the commit", scene
        yield f"{label}, its answer is lost", done
        if durable.disk != done.disk:
            yield f"{label}, the relay dies after the commit", durable

    def _hears(self, scene: Scene, pending: Pending) -> Scene:
        request, said = pending.request, pending.said.partition(LEAVING)[0]
        place = request.copy
        copy, device = scene.copies[place], scene.devices[place]
        hearing: dict[str, Callable[[], Scene]] = {
            "post": lambda: scene.with_copy(place, self._hears_post(copy, said)),
            "withdraw": lambda: scene.with_copy(place, copy.heard(said)),
            "deliver": lambda: scene.with_device(place, device._replace(told=True)),
            "finish": lambda: scene.with_device(place, device._replace(finish=0)),
            "open": lambda: scene.with_device(place, self._hears_share(device, request, said)),
        }
        return hearing[request.what]()

    def _hears_post(self, copy: Copy, said: str) -> Copy:
        if said not in ("True", "False"):
            raise Broken(f"a copy that was posted is refused: {said}")
        return copy._replace(departure=self._departs(copy, CopyEvent.HEAR))

    def _hears_share(self, device: Device, request: Request, said: str) -> Device:
        if said == "share":
            seen = device.seen | 1 << request.attempt if device.parts else device.seen
            return device._replace(seen=seen, holding=request.attempt != CHEAT)
        if request.attempt == CHEAT:
            return device
        if said == "TakenBack":
            return self._goes(device, MessageEvent.TAKE_BACK)
        if said == "UsedUp":
            return self._goes(device, MessageEvent.MISS)
        raise Broken(f"a message that was fetched does not open: {said}")

    def _departs(self, copy: Copy, event: CopyEvent) -> SendState:
        self.copies_met.add((copy.departure, event))
        return next_send_state(copy.departure, event)

    def _goes(self, device: Device, event: MessageEvent) -> Device:
        self.messages_met.add((device.state, event))
        state = NEXT_MESSAGE_STATE[device.state, event]
        over = state not in (InboxState.WAITING, InboxState.OPENED)
        attempt = 0 if over else device.attempt
        return device._replace(state=state, attempt=attempt)
