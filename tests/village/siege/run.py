"""Sieges: simulations in which an adversary controls all relays.

``python -m tests.village.siege.run --runs 1000`` runs one siege for each seed and prints one line
of JSON at the end. It exits with 1 if a device violated an invariant or failed unexpectedly, and
prints each such seed with the command that runs it again.
"""

import argparse
import json
import secrets
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import RecipientId
from entrenous.device.generation import confirm_unlock_at_relay, mark_unlock_unconfirmed
from entrenous.device.identities import contacts, own_device
from entrenous.device.relay_lock_client import evaluate_at_relay
from entrenous.device.sent_messages import Message
from entrenous.send.devices.own_key_bundle import seal_key_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import forget_contact, mark_keys_compared
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from entrenous.send.status import query_sent_messages
from tests.send.signed_lists import issue_key_bundle
from tests.village.adversary import CALLS_MAX, TooManyCalls
from tests.village.siege.oracle import Oracle
from tests.village.siege.world import (
    PASSPHRASE,
    PICTURE,
    AttackedNetwork,
    delete_mailbox,
    initial_state,
    lock_of_device,
    manage_lock,
)
from tests.village.world import Participant

STEP_COUNT: Final = 40
SEND_COUNT_MAX: Final = 4  # few, because marking pictures takes time
REPLAY_COMMAND: Final = "python -m tests.village.siege.run --seed {seed}"


@dataclass
class Outcome:
    """The result of one siege."""

    seed: int
    violations: list[str] = field(default_factory=list)
    unexpected_errors: list[str] = field(default_factory=list)
    opened: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    tricks_played: Counter[str] = field(default_factory=Counter)
    call_counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    @property
    def report(self) -> str:
        """All findings, and the command that runs the seed again; empty if nothing was wrong."""
        findings = [*self.violations, *self.unexpected_errors]
        return "" if not findings else "\n".join([*findings, REPLAY_COMMAND.format(seed=self.seed)])


class Siege:
    """One siege: people take random steps while an adversary controls their relays."""

    def __init__(self, seed: int, plan: str | None = None) -> None:
        self.rng = Random(f"steps {seed}")
        self.network = AttackedNetwork(seed, initial_state())
        self.adversary = self.network.adversary
        self.adversary.trick_rate = self.rng.choice((0.02, 0.05, 0.15, 0.4))
        self.adversary.keeps_shares = self.rng.random() < 0.25
        random_plan = self.rng.choice(list(PLANS))
        self.adversary.preferred_calls, preferred_steps = PLANS[plan or random_plan]
        self.weights = [
            often * (6 if step in preferred_steps else 1) for step, often in STEP_WEIGHTS.items()
        ]
        self.oracle = Oracle(self.network)
        self.outcome = Outcome(
            seed, tricks_played=self.adversary.tricks_played, call_counts=self.adversary.call_counts
        )
        self.outcome.violations = self.oracle.violations
        self.device_copies: list[Participant] = []
        self.sends_left = SEND_COUNT_MAX
        if self.rng.random() < 0.25:
            self._set_up("eve")

    def _set_up(self, name: str) -> None:
        """Set up a device for a new person while the relays are malicious."""
        newcomer = self.network.make_person(name)
        url = self.rng.choice(sorted(self.network.mails))
        self._attempt("settles", newcomer, lambda: set_up(name, url, newcomer.device))
        self.network.people[name] = newcomer

    def run(self) -> Outcome:
        """Take all steps; then make the relays honest, and let everybody fetch and open."""
        self.oracle.check_devices()
        for _ in range(STEP_COUNT):
            self._take_step(self.rng.choices(list(STEP_WEIGHTS), self.weights)[0])
        self.adversary.become_honest()
        for person in self._everybody():
            self._attempt("fetches", person, lambda person=person: fetch_messages(person.device))
        for person in self._everybody():
            for received in received_messages(person.device):
                self._open(person, person.name, received.name)
        return self.outcome

    def _everybody(self) -> list[Participant]:
        return list(self.network.people.values())

    def _take_step(self, step: "Step") -> None:
        step(self, self.rng.choice(self._everybody()))
        self.oracle.check_devices()

    def _attempt(self, action: str, person: Participant, work: Callable[[], Any]) -> Any:
        """Run a person's step; record any error that is not an EntrenousError as unexpected."""
        self.adversary.calls_left = CALLS_MAX
        result = "done"
        try:
            return work()
        except EntrenousError as error:
            result = type(error).__name__
            self.outcome.refused[result] += 1
        except (Exception, TooManyCalls) as error:  # noqa: BLE001 - any other error is unexpected
            result = type(error).__name__
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.outcome.unexpected_errors.append(
                f"{person.name} {action}: {error!r} at {last.filename}:{last.lineno}"
            )
        finally:
            self.outcome.trace.append(f"{person.name} {action}: {result}")
        return None

    # --- steps ----------------------------------------------------------------------------------

    def send(self, person: Participant) -> None:
        names = [contact.name for contact in contacts(person.device)]
        if not self.sends_left or not names:
            return
        self.sends_left -= 1
        to = tuple(
            map(RecipientId, self.rng.sample(names, self.rng.randint(1, min(2, len(names)))))
        )
        opens = self.rng.choice((None, 1, 1, 2))
        until = self.network.clock.now() + timedelta(hours=self.rng.choice((2, 48, 168)))
        caption = f"number {self.sends_left} of {person.name}"
        draft = Draft((PICTURE,), to, MessagePolicy(until, opens), caption, confirmed=frozenset(to))
        before = {message.id for message in person.device.ledger.messages()}
        self._attempt("sends", person, lambda: send_message(draft, person.device))
        for message in person.device.ledger.messages():
            if message.id not in before:
                self.oracle.opening_limits[message.id] = opens

    def fetch(self, person: Participant) -> None:
        self._attempt("fetches", person, lambda: fetch_messages(person.device))

    def open(self, person: Participant) -> None:
        shown = received_messages(person.device)
        if shown:
            self._open(person, person.name, self.rng.choice(shown).name)

    def race_copies(self, person: Participant) -> None:
        """Open a message on a device and on a copy of its disk, in random order."""
        shown = [one for one in received_messages(person.device) if not one.kept]
        if not shown:
            return
        name = self.rng.choice(shown).name
        copied = self.network.copy_device(person.name, self.rng.randrange(10**6))
        racers = [
            (person, person.name),
            (copied, f"{person.name}'s copy {len(self.device_copies)}"),
        ]
        self.device_copies.append(copied)
        self.rng.shuffle(racers)
        for one, device in racers:
            self._open(one, device, name)

    def _open(self, person: Participant, device: str, name: str) -> None:
        shown = {one.name: one for one in received_messages(person.device)}
        at = self.network.clock.now()
        content = self._attempt("opens", person, lambda: open_message(name, person.device))
        if content is not None:
            self.outcome.opened += 1
            self.oracle.check_opened(device, person, shown[name], content, at)

    def take_back(self, person: Participant) -> None:
        sent: list[Message] = list(person.device.ledger.messages())
        if sent:
            name = self.rng.choice(sent).name
            self._attempt("takes back", person, lambda: recall_message(name, person.device))

    def query_status(self, person: Participant) -> None:
        self._attempt("looks", person, lambda: query_sent_messages(person.device))

    def add_person(self, person: Participant) -> None:
        """Let ``person`` add somebody by an invite, possibly somebody who is a contact already."""
        most = self._everybody() if self.rng.random() < 0.5 else self._everybody()[:2]
        other = self.rng.choice([one for one in most if one is not person])
        link = self._attempt("invites", other, lambda: make_invite_link(other.device))
        if link is not None:
            name = f"{other.name} of {person.name}"
            self._attempt("adds", person, lambda: _add_and_compare(link, name, person))

    def publish_new_list(self, person: Participant) -> None:
        """Issue a new device list, and publish it."""
        bundle, me = issue_key_bundle(person), own_device(person.device)  # type: ignore[arg-type]
        shown = seal_key_bundle(bundle, me.person.id, me.home.mailbox)
        home = me.home
        self._attempt(
            "publishes",
            person,
            lambda: person.device.courier.publish_key_bundle(
                home.relay_url, home.mailbox, home.owner, shown
            ),
        )

    def forget_contact(self, person: Participant) -> None:
        known = contacts(person.device)
        if known:
            name = self.rng.choice(known).name
            self._attempt("forgets", person, lambda: forget_contact(name, person.device))

    def unlock(self, person: Participant) -> None:
        """Request the relay's part of the key. Then report the unlock, or send all requests that
        manage the lock.
        """
        courier, random_source = person.device.courier, person.device.random_source
        lock = lock_of_device(person)
        self._attempt(
            "unlocks", person, lambda: evaluate_at_relay(lock, PASSPHRASE, courier, random_source)
        )

        def report_unlock() -> None:
            mark_unlock_unconfirmed(person.vault)
            confirm_unlock_at_relay(person.device)

        if self.rng.random() < 0.3:
            self._attempt("opens the vault", person, report_unlock)
        else:
            self._attempt("looks after the lock", person, lambda: manage_lock(person))

    def delete_mailbox(self, person: Participant) -> None:
        """Sometimes delete the mailbox by close token. The device continues to use the mailbox."""
        if self.rng.random() < 0.2:
            self._attempt("leaves", person, lambda: delete_mailbox(person))

    def advance_clock(self, _who: Participant) -> None:
        self.network.clock.advance(minutes=self.rng.choice((1, 70, 1500)))


def _add_and_compare(link: str, name: str, person: Participant) -> None:
    """Add a person by a link and mark their keys as compared, so that the person gets receipts."""
    add_person(link, name, person.device)
    mark_keys_compared(name, person.device)


Step = Callable[[Siege, Participant], None]
STEP_WEIGHTS: Final[dict[Step, int]] = {
    Siege.send: 12,
    Siege.fetch: 24,
    Siege.open: 14,
    Siege.race_copies: 6,
    Siege.take_back: 6,
    Siege.query_status: 3,
    Siege.add_person: 5,
    Siege.publish_new_list: 3,
    Siege.forget_contact: 1,
    Siege.unlock: 2,
    Siege.delete_mailbox: 1,
    Siege.advance_clock: 4,
}
# A plan names the calls to tamper with more often, and the steps to take more often.
Plan = tuple[frozenset[str], frozenset[Step]]
PLANS: Final[Mapping[str, Plan]] = {
    "anything": (frozenset(), frozenset()),
    "letters": (frozenset({"waiting_envelopes", "post", "acknowledge"}), frozenset({Siege.send})),
    "lists": (frozenset({"key_bundle"}), frozenset({Siege.publish_new_list, Siege.add_person})),
    "keys": (frozenset({"claim_prekeys"}), frozenset({Siege.add_person, Siege.forget_contact})),
    "content": (frozenset({"blob", "open_share"}), frozenset({Siege.open, Siege.race_copies})),
    "endings": (
        frozenset({"withdraw", "envelope_status", "open_share"}),
        frozenset({Siege.take_back, Siege.race_copies}),
    ),
}


def run_siege(seed: int, plan: str | None = None) -> Outcome:
    """Run one siege; the seed determines all steps, and also the plan if none is given."""
    return Siege(seed, plan).run()


def new_seeds(count: int) -> list[int]:
    """Return new random seeds."""
    return [secrets.randbelow(10**9) for _ in range(count)]


def run_sieges(seeds: Iterable[int], write_line: Callable[[str], None]) -> dict[str, Any]:
    """Run one siege for each seed, write each report at once, and return the totals."""
    total: Counter[str] = Counter(runs=0, accepts=0, broke=0)
    tricks: Counter[str] = Counter()
    for seed in seeds:
        outcome = run_siege(seed)
        total.update(runs=1, accepts=len(outcome.violations), broke=len(outcome.unexpected_errors))
        total.update(opened=outcome.opened, refused=outcome.refused.total())
        total.update(calls=outcome.call_counts.total())
        tricks.update(outcome.tricks_played)
        if outcome.report:
            write_line(outcome.report)
        if total["runs"] % 100 == 0:
            write_line(f"{total['runs']} runs, {total['accepts']} accepts")
    return {**total, "tricks": tricks.total(), "kinds_of_tricks": len(tricks)}


def main(arguments: list[str]) -> int:
    """Run the command that the module docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed, and print every step")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument(
        "--first", type=int, help="run the seeds from this number on, not random ones"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = run_siege(options.seed)
        print(*outcome.trace, outcome.report or "nothing was wrong", sep="\n")  # noqa: T201
        return 1 if outcome.report else 0
    first = options.first
    seeds = new_seeds(options.runs) if first is None else range(first, first + options.runs)
    summed = run_sieges(seeds, lambda line: print(line, flush=True))  # noqa: T201
    print(json.dumps({"schema": "entrenous/siege/1", **summed}))  # noqa: T201
    return 1 if summed["accepts"] or summed["broke"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
