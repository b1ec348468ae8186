"""A malicious relay: an adversary between all devices and an honest relay, who may tamper with
each call.

The adversary wraps the whole :class:`.Courier`, remembers the calls of all devices with their
answers, and knows who calls. Which trick it plays on a call follows only from a seed and the number
of the call, never from the bytes of a ciphertext, so that a seed plays the same again.

A relay stores key shares and is trusted to delete them. One that keeps them ("hoards") can hand a
share out again after the message was taken back or used up; no cryptography prevents that before
the sender's note has reached the device. The adversary records these shares
(``handed_out_again``), and the oracle does not count openings with them.
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

REMEMBERED = 40  # latest calls of each kind
PATIENCE = 5000  # calls that one action of a person may make


def calls_of_a_courier() -> frozenset[str]:
    """Return the names of a courier's calls; ``blob``, which returns bytes, replaces a download."""
    names = frozenset(name for name in dir(Courier) if not name.startswith("_"))
    return names - {"download_blob"} | {"blob"}


class NeverEnds(BaseException):  # not an Exception, so that the program does not catch it
    """A device makes more than ``PATIENCE`` calls in one action."""


@dataclass(frozen=True)
class Heard:
    """One call and the honest relay's answer."""

    caller: str
    arguments: tuple[Any, ...]
    answer: Any

    @property
    def about(self) -> Any:
        """The subject of the call: a mailbox, an envelope or a blob."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass(frozen=True)
class Asked:
    """One call that the adversary has to answer, with a random generator for it."""

    adversary: "Adversary"
    caller: str
    call: str
    arguments: tuple[Any, ...]
    dice: Random

    def honest(self) -> Any:
        """Pass the call on to the honest relay, and return its answer, which is remembered."""
        return self.adversary.ask(self.caller, self.call, self.arguments)

    def remembered(self) -> list[Heard]:
        """Return earlier calls of this kind, oldest first."""
        return list(self.adversary.heard.get(self.call, ()))

    @property
    def about(self) -> Any:
        """The subject of the call, as :attr:`Heard.about`."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass
class Adversary:
    """Stands between all devices and ``relay``; tampers with a share ``mischief`` of the calls."""

    relay: Courier
    seed: int
    mischief: float = 0.0
    hoards: bool = False
    favourites: frozenset[str] = frozenset()  # calls to tamper with more often
    number: int = 0
    patience: int = PATIENCE
    heard: dict[str, deque[Heard]] = field(default_factory=dict)
    late: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    played: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    #: Envelopes that the honest relay deleted because their senders took them back.
    taken_back: set[EnvelopeId] = field(default_factory=set)
    #: Key shares seen on their way to the relay, and envelopes whose share was handed out again.
    halves: dict[EnvelopeId, Secret] = field(default_factory=dict)
    handed_out_again: set[EnvelopeId] = field(default_factory=set)
    #: Opening attempts that were reported to the honest relay as finished.
    finished: set[tuple[EnvelopeId, bytes]] = field(default_factory=set)

    def before(self, caller: str) -> "Before":
        """Return the courier for somebody's device."""
        return Before(self, caller)

    def ask(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Call the honest relay, and remember its answer."""
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
        """Remember an answer; a published key bundle is also the answer to a call that reads it."""
        row = self.heard.setdefault(call, deque(maxlen=REMEMBERED))
        row.append(Heard(caller, arguments, answer))
        if call == "publish_key_bundle":
            self.remember(caller, "card", arguments[:2], arguments[3])

    def answer(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Answer somebody's call, honestly or with a trick."""
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
        """Remember everything that another adversary remembers."""
        self.heard = {call: deque(row, maxlen=REMEMBERED) for call, row in other.heard.items()}

    def makes_peace(self) -> None:
        """Be honest from now on; delayed calls still reach the relay."""
        self.mischief, self.favourites = 0.0, frozenset()

    def _send_on_what_is_late(self, dice: Random) -> None:
        while self.late and dice.random() < 0.3:
            try:
                self.ask(*self.late.pop(dice.randrange(len(self.late))))
            except EntrenousError:
                continue  # nobody waits for that answer any more


@dataclass(frozen=True)
class Before:
    """A :class:`.Courier` of one device that passes each call to the adversary."""

    adversary: Adversary
    caller: str

    def __getattr__(self, call: str) -> Callable[..., Any]:
        if call not in calls_of_a_courier() | {"download_blob"}:
            raise AttributeError(call)
        return streamed(call, lambda name, asked: self.adversary.answer(self.caller, name, asked))
