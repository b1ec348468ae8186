"""An adversary that sits between all devices and an honest relay, and may tamper with calls.

The adversary wraps the whole :class:`.Courier`, remembers the calls of all devices with their
answers, and knows the caller of each call. The trick for a call depends on a seed, and on
the number and the name of the call, never on the bytes of a ciphertext. So a seed always gives the
same tricks.

A relay is trusted to delete key shares. A relay that keeps them (``keeps_shares``) can hand out a
share again after the message was taken back or used up. No cryptography prevents this before the
device has received the sender's recall note. The adversary records the envelopes of these shares
in ``handed_out_again``, and the oracle reports no violation when these envelopes are opened.
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
from tests.village.tricks import TRICKS_BY_CALL, TRICKS_FOR_ANY_CALL, Trick
from tests.village.whole_blobs import BytesCourier, courier_method

CALLS_REMEMBERED = 40  # how many calls of each name are remembered
CALLS_MAX = 5000  # the maximum number of calls in one action of a person


def courier_calls() -> frozenset[str]:
    """Return the names of the calls of a :class:`.BytesCourier`.

    They are the names of a courier's calls, with ``blob`` in place of ``download_blob``.
    """
    names = frozenset(name for name in dir(Courier) if not name.startswith("_"))
    return names - {"download_blob"} | {"blob"}


class TooManyCalls(BaseException):  # not an Exception, so that the program does not catch it
    """A device made more than ``CALLS_MAX`` calls in one action."""


@dataclass(frozen=True)
class RecordedCall:
    """One call and the honest relay's answer."""

    caller: str
    arguments: tuple[Any, ...]
    answer: Any

    @property
    def subject(self) -> Any:
        """The subject of the call: a mailbox, an envelope or a blob."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass(frozen=True)
class PendingCall:
    """One call that the adversary has to answer, with a random generator for this call."""

    adversary: "Adversary"
    caller: str
    name: str
    arguments: tuple[Any, ...]
    rng: Random

    def forward(self) -> Any:
        """Pass the call to the honest relay, remember the relay's answer and return it."""
        return self.adversary.call_relay(self.caller, self.name, self.arguments)

    def earlier_calls(self) -> list[RecordedCall]:
        """Return the remembered earlier calls with this name, oldest first."""
        return list(self.adversary.recorded.get(self.name, ()))

    @property
    def subject(self) -> Any:
        """The subject of the call, as in :attr:`RecordedCall.subject`."""
        return self.arguments[1] if len(self.arguments) > 1 else None


@dataclass
class Adversary:
    """Passes all calls to ``relay``, but tampers with the fraction ``trick_rate`` of the calls."""

    relay: Courier
    seed: int
    trick_rate: float = 0.0
    keeps_shares: bool = False
    preferred_calls: frozenset[str] = frozenset()  # these calls are tampered with more often
    call_number: int = 0
    calls_left: int = CALLS_MAX
    recorded: dict[str, deque[RecordedCall]] = field(default_factory=dict)
    delayed: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    tricks_played: Counter[str] = field(default_factory=Counter)
    call_counts: Counter[str] = field(default_factory=Counter)
    #: Envelopes that their senders took back at the honest relay.
    taken_back: set[EnvelopeId] = field(default_factory=set)
    #: Key shares that devices posted, and envelopes whose share the adversary handed out again.
    shares: dict[EnvelopeId, Secret] = field(default_factory=dict)
    handed_out_again: set[EnvelopeId] = field(default_factory=set)
    #: Opening attempts that were reported to the honest relay as finished.
    finished_attempts: set[tuple[EnvelopeId, bytes]] = field(default_factory=set)

    def courier_for(self, caller: str) -> "AdversaryCourier":
        """Return the courier for the device of ``caller``."""
        return AdversaryCourier(self, caller)

    def call_relay(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Call the honest relay, remember its answer and return it."""
        if call == "post" and arguments[2].share is not None:
            self.shares[arguments[2].id] = arguments[2].share.value
        answer = getattr(BytesCourier(self.relay), call)(*arguments)
        if call == "withdraw":
            self.taken_back.add(arguments[1])
        if call == "finish_opening":
            self.finished_attempts.add((arguments[1], arguments[3]))
        self.remember(caller, call, arguments, answer)
        return answer

    def remember(self, caller: str, call: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """Remember an answer.

        A published key bundle is also remembered as an answer to the call ``key_bundle``.
        """
        row = self.recorded.setdefault(call, deque(maxlen=CALLS_REMEMBERED))
        row.append(RecordedCall(caller, arguments, answer))
        if call == "publish_key_bundle":
            self.remember(caller, "key_bundle", arguments[:2], arguments[3])

    def answer(self, caller: str, call: str, arguments: tuple[Any, ...]) -> Any:
        """Answer a call of ``caller``, honestly or with a trick."""
        self.call_number += 1
        self.calls_left -= 1
        if self.calls_left < 0:
            raise TooManyCalls
        rng = Random(f"{self.seed} {self.call_number}")
        self.call_counts[call] += 1
        self._send_delayed_calls(rng)
        trick = self._choose_trick(call, rng)
        if trick is None:
            return self.call_relay(caller, call, arguments)
        self.tricks_played[f"{call}: {trick.__name__}"] += 1
        return trick(PendingCall(self, caller, call, arguments, rng))

    def _choose_trick(self, call: str, rng: Random) -> Trick | None:
        is_preferred = call in self.preferred_calls
        if rng.random() >= (max(self.trick_rate, 0.5) if is_preferred else self.trick_rate):
            return None
        special: tuple[Trick, ...] = TRICKS_BY_CALL.get(call, ())
        use_special = special and (is_preferred or rng.random() < 0.6)
        return rng.choice(special if use_special else TRICKS_FOR_ANY_CALL)

    def copy_memory_of(self, other: "Adversary") -> None:
        """Remember everything that another adversary remembers."""
        self.recorded = {
            call: deque(row, maxlen=CALLS_REMEMBERED) for call, row in other.recorded.items()
        }

    def become_honest(self) -> None:
        """Stop all tricks; delayed calls still reach the relay."""
        self.trick_rate, self.preferred_calls = 0.0, frozenset()

    def _send_delayed_calls(self, rng: Random) -> None:
        while self.delayed and rng.random() < 0.3:
            try:
                self.call_relay(*self.delayed.pop(rng.randrange(len(self.delayed))))
            except EntrenousError:
                continue  # no device waits for the answer of a delayed call


@dataclass(frozen=True)
class AdversaryCourier:
    """A :class:`.Courier` of one device that passes each call to the adversary."""

    adversary: Adversary
    caller: str

    def __getattr__(self, call: str) -> Callable[..., Any]:
        if call not in courier_calls() | {"download_blob"}:
            raise AttributeError(call)
        return courier_method(
            call, lambda name, arguments: self.adversary.answer(self.caller, name, arguments)
        )
