"""A relay in the hands of somebody with a plan: every call goes through her, and dice decide.

It is an adapter over the whole :class:`.Courier`. Behind it stands an honest relay,
before it everybody's device; it remembers every question and answer of everybody, and knows who
asks. What it plays, call by call, follows from a seed and the number of the call alone, never from
the bytes of a ciphertext, so that a seed plays the same again.

A relay holds halves of keys and is trusted to let them go. One that keeps them instead ("hoards")
can hand one out again after it was taken back or used up: no cryptography stands against that
until the sender's note has reached the device. A siege where it hoards notes which ones it hands
out (``handed_out_again``), and holds devices to what they promise by themselves.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.secret import Secret
from entrenous.device.device import Courier
from tests.village.tricks import ANY, ON_ONE_CALL, Trick
from tests.village.whole import Whole, streamed

REMEMBERED = 40  # answers of each call
PATIENCE = 5000  # calls that one person's one action may make of a relay that never ends


def calls_of_a_courier() -> frozenset[str]:
    """The name of everything that can be asked of a relay; to her, blobs are bytes."""
    names = frozenset(name for name in dir(Courier) if not name.startswith("_"))
    return names - {"download_blob"} | {"blob"}


class NeverEnds(BaseException):  # not an Exception, so that nobody mends it on the way
    """A device goes on asking a relay that never comes to an end."""


@dataclass(frozen=True)
class Heard:
    """One question and the honest relay's answer."""

    caller: str
    arguments: tuple[Any, ...]
    answer: Any

    @property
    def about(self) -> Any:
        """What the question was about: a mailbox, an envelope, a blob."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass(frozen=True)
class Asked:
    """One question that an adversary has before her, and the dice for it."""

    adversary: "Adversary"
    caller: str
    call: str
    arguments: tuple[Any, ...]
    dice: Random

    def honest(self) -> Any:
        """What the relay behind answers; it is remembered."""
        return self.adversary.ask(self.caller, self.call, self.arguments)

    def remembered(self) -> list[Heard]:
        """Earlier answers to this kind of question, oldest first."""
        return list(self.adversary.heard.get(self.call, ()))

    @property
    def about(self) -> Any:
        """As :attr:`Heard.about`."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass
class Adversary:
    """Sits between everybody and ``relay``; ``mischief`` of all calls (0 to 1) are played with."""

    relay: Courier
    seed: int
    mischief: float = 0.0
    hoards: bool = False
    favourites: frozenset[str] = frozenset()  # calls that she plays with more than with others
    number: int = 0
    patience: int = PATIENCE
    heard: dict[str, deque[Heard]] = field(default_factory=dict)
    late: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    played: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    #: What the honest relay has deleted for good at its sender's word.
    taken_back: set[EnvelopeId] = field(default_factory=set)
    #: Halves of keys that were seen on their way to the relay, and those handed out again.
    halves: dict[EnvelopeId, Secret] = field(default_factory=dict)
    handed_out_again: set[EnvelopeId] = field(default_factory=set)
    #: Openings that the honest relay was told are over.
    finished: set[tuple[EnvelopeId, bytes]] = field(default_factory=set)

    def before(self, caller: str) -> "Before":
        """The courier of somebody's device."""
        return Before(self, caller)

    def ask(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Ask the honest relay, and remember what was said."""
        if call == "post" and arguments[2].share is not None:
            self.halves[arguments[2].id] = arguments[2].share.value
        answer = getattr(Whole(self.relay), call)(*arguments)
        if call == "withdraw":
            self.taken_back.add(arguments[1])
        if call == "finish_opening":
            self.finished.add((arguments[1], arguments[3]))
        self.remember(caller, call, arguments, answer)
        return answer

    def remember(self, caller: str, call: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """Keep an answer; and a new list as what the question for it would be answered with."""
        row = self.heard.setdefault(call, deque(maxlen=REMEMBERED))
        row.append(Heard(caller, arguments, answer))
        if call == "publish_key_bundle":
            self.remember(caller, "card", arguments[:2], arguments[3])

    def answer(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Answer somebody's question, after what she has in mind for this one."""
        self.number += 1
        self.patience -= 1
        if self.patience < 0:
            raise NeverEnds
        dice = Random(f"{self.seed} {self.number}")
        self.asked[call] += 1
        self._send_on_what_is_late(dice)
        trick = self._chosen(call, dice)
        if trick is None:
            return self.ask(caller, call, arguments)
        self.played[f"{call}: {trick.__name__}"] += 1
        return trick(Asked(self, caller, call, arguments, dice))

    def _chosen(self, call: str, dice: Random) -> Trick | None:
        favourite = call in self.favourites
        if dice.random() >= (max(self.mischief, 0.5) if favourite else self.mischief):
            return None
        own: tuple[Trick, ...] = ON_ONE_CALL.get(call, ())
        return dice.choice(own if own and (favourite or dice.random() < 0.6) else ANY)

    def knows(self, other: "Adversary") -> None:
        """What another one has heard, she has."""
        self.heard = {call: deque(row, maxlen=REMEMBERED) for call, row in other.heard.items()}

    def makes_peace(self) -> None:
        """From here on she is honest; what she sat on still goes where it was sent to."""
        self.mischief, self.favourites = 0.0, frozenset()

    def _send_on_what_is_late(self, dice: Random) -> None:
        while self.late and dice.random() < 0.3:
            try:
                self.ask(*self.late.pop(dice.randrange(len(self.late))))
            except EntrenousError:
                continue  # nobody waits for that answer any more


@dataclass(frozen=True)
class Before:
    """A :class:`.Courier` of one device whose relay is the adversary's."""

    adversary: Adversary
    caller: str

    def __getattr__(self, call: str) -> Callable[..., Any]:
        if call not in calls_of_a_courier() | {"download_blob"}:
            raise AttributeError(call)
        return streamed(call, lambda name, asked: self.adversary.answer(self.caller, name, asked))
