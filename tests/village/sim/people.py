"""The steps that people take at their devices; any fault may happen during any step."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

from entrenous.base.errors import Unreachable
from entrenous.base.identifiers import MessageName, RecipientId
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import ENDED_STATES
from entrenous.send.letter.letter_nouns import MessageFileEntry, MessageFrame
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.react import react
from entrenous.send.message.states import INBOX_TABLE, ReceivedMessage
from entrenous.send.message.transfer_progress import NO_WATCH
from entrenous.send.open import WriteFile, show_received_message
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from tests.village.sim.oracle import OpeningStart, Oracle
from tests.village.sim.world import Host
from tests.village.world import photo

OPENING_LIMITS: Final = (None, None, 1, 1, 2)
LIFETIMES_H: Final = (2, 48, 168, 600)
PICTURE: Final = photo(width_px=64)


@dataclass
class Actor:
    """One person at one device."""

    host: Host
    rng: Random
    oracle: Oracle
    pictures_left: int = 0
    draft: Draft | None = None
    written_count: int = 0
    unfinished_recalls: set[MessageName] = field(default_factory=set)

    def send(self) -> None:
        names = [contact.name for contact in contacts(self.host.device)]
        to = self.rng.sample(names, self.rng.choice((1, 1, 1, 2)))
        self.write(to, self.rng.choice(LIFETIMES_H), self.rng.choice(OPENING_LIMITS))

    def write(self, to: list[str], hours: int, opens: int | None = None) -> None:
        """Send a text, or sometimes a picture, to people whose names are confirmed."""
        self.written_count += 1
        device = self.host.device
        policy = MessagePolicy(device.clock.now() + timedelta(hours=hours), opens)
        text, confirmed = f"number {self.written_count} of {self.host.name}", frozenset(to)
        names = tuple(map(RecipientId, to))
        if self.pictures_left and self.rng.random() < 0.2:
            self.pictures_left -= 1
            draft = Draft((PICTURE,), names, policy, text, confirmed=confirmed)
        else:
            draft = Draft((), names, policy, text=text, confirmed=confirmed)
        self.draft = draft
        send_message(draft, device)

    def greet_everybody(self) -> None:
        """Write to all contacts."""
        self.write([contact.name for contact in contacts(self.host.device)], hours=168)

    def fetch(self) -> None:
        for problem in fetch_messages(self.host.device).problems:
            if not isinstance(problem, Unreachable):
                raise problem

    def open_random_message(self) -> None:
        """Open a received message; usually choose a message that has not ended."""
        every = list(INBOX_TABLE.all(self.host.vault))
        active = [one for one in every if one.state not in ENDED_STATES]
        candidates = active if active and self.rng.random() < 0.9 else every
        if candidates:
            self.open_message(self.rng.choice(sorted(candidates, key=lambda one: one.name)))

    def open_message(self, before: ReceivedMessage) -> None:
        """Open a message, and let the oracle check the shown text."""
        device, oracle = self.host.device, self.oracle
        start = OpeningStart(device.clock.now(), frozenset(oracle.withdrawn))

        def fill_buffer(_number: int, _file: MessageFileEntry, fill: WriteFile) -> None:
            fill(io.BytesIO())

        def check_frame(frame: MessageFrame) -> None:
            oracle.check_shown_message(self.host, before, frame.text, start)

        show_received_message(before.name, fill_buffer, device, NO_WATCH, check_frame)

    def recall_random_message(self) -> None:
        sent = list(self.host.device.ledger.messages())[-6:]
        if sent:
            self.recall(self.rng.choice(sent).name)

    def repeat_recalls(self) -> None:
        """Repeat the recalls that are not finished."""
        for name in sorted(self.unfinished_recalls):
            self.recall(name)

    def recall(self, name: MessageName) -> None:
        """Recall one message. A recall that fails is repeated at the end of the simulation."""
        self.unfinished_recalls.add(name)
        recall_message(name, self.host.device)
        self.unfinished_recalls.discard(name)

    def query_status(self) -> None:
        query_sent_messages(self.host.device)

    def react(self) -> None:
        every = sorted(INBOX_TABLE.all(self.host.vault), key=lambda one: one.name)
        active = [one for one in every if one.state not in ENDED_STATES]
        if active:
            react(self.rng.choice(active).name, self.rng.choice(("+", "!", None)), self.host.device)


STEP_WEIGHTS: Final[Mapping[Callable[[Actor], None], int]] = {
    Actor.send: 6,
    Actor.fetch: 12,
    Actor.open_random_message: 10,
    Actor.recall_random_message: 2,
    Actor.query_status: 1,
    Actor.react: 1,
}
