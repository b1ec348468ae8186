"""Simulate households that move to other relays, link new devices, and lose devices.

A household is all devices of one person. The households also write to each other; a seed sets the
order of all steps. At the end everybody fetches, and then all devices of a household must be at one
relay, every letter must have been decrypted, each device must have tokens for the current mailboxes
of the devices it writes to, and every message must have reached the devices that were not revoked.

``python -m tests.village.moving.run --runs 100`` exits with 1 if any of this fails, and prints each
failing seed with the command that runs it again.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.device.identities import clear_next_relay_lock, own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import (
    ANNOUNCED_TOKEN_RANGE,
    LETTER_AWAITING_DEVICE_LIST,
    OUTBOX,
    UNDECRYPTABLE_LETTER,
)
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.move_device import cancel_move, move_all_devices
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.wire.relay_nouns import Envelope
from tests.deterministic import SeededRandomSource
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.village.households import add_blank_device, can_write, catch_up, link_devices
from tests.village.malicious_relay import HonestCall
from tests.village.relay import relay_with_courier
from tests.village.siege.run import new_seeds
from tests.village.sim.rng import rng_for

THIRD_RELAY_URL: Final = "http://127.0.0.1:7003"
RELAY_URLS: Final = (RELAY_URL, OTHER_RELAY_URL, THIRD_RELAY_URL)
REPLAY_COMMAND: Final = "python -m tests.village.moving.run --seed {seed}"
STEP_COUNT: Final = 40
_LINKS_MAX: Final = 2
_TABLES_EMPTY_AT_END: Final = {
    OUTBOX: "letters that wait",
    LETTER_AWAITING_DEVICE_LIST: "letters that wait for a list",
    ANNOUNCED_TOKEN_RANGE: "windows that wait for a list",
}
_FINAL_FETCHES: Final = 6  # how often everybody fetches at the end, two hours apart


@dataclass
class Outcome:
    """The result of one run."""

    seed: int
    violations: list[str] = field(default_factory=list)
    step_counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    @property
    def report(self) -> str:
        """The violations and the command that runs the seed again; empty if nothing was wrong."""
        again = REPLAY_COMMAND.format(seed=self.seed)
        return "" if not self.violations else "\n".join([*self.violations, again])


class MoveSimulation:
    """Ana and Ben with two devices each, and Cleo with one; Ana is a contact of Ben and Cleo."""

    def __init__(self, seed: int, steps: int = STEP_COUNT) -> None:
        self.rng, self.steps = rng_for("moving", seed), steps
        self.outcome = Outcome(seed)
        self.network = network = Network()
        relay = relay_with_courier(
            THIRD_RELAY_URL, network.clock, SeededRandomSource(THIRD_RELAY_URL)
        )[0]
        network.apps[THIRD_RELAY_URL] = relay_app(relay)
        ana, ben, cleo = (
            network.set_up_person("ana"),
            network.set_up_person("ben"),
            network.set_up_person("cleo", OTHER_RELAY_URL),
        )
        ana.add_contact(ben)
        cleo.add_contact(ana)
        self.post_recorders = ExitStack()
        self.posted: dict[str, set[EnvelopeId]] = {}
        for one in (ana, ben, cleo):
            self._record_posts(one)
        phone, tablet = self._link_device(ana, "phone"), self._link_device(ben, "tablet")
        self.lost, self.delayed_envelopes = list[Person](), set[EnvelopeId]()
        self.households = [[ana, phone], [ben, tablet], [cleo]]
        # people write to a household at the name of its first device
        self.addressees = (ana, ben, cleo)
        self.disconnected_relay: str | None = None
        self.linked_count = 0
        for _ in range(3):
            catch_up(*self.everybody)

    @property
    def everybody(self) -> list[Person]:
        return [one for household in self.households for one in household]

    def run(self) -> Outcome:
        """Take all steps, let everybody fetch, and check the result."""
        for _ in range(self.steps):
            step = self.rng.choices(list(_STEP_WEIGHTS), list(_STEP_WEIGHTS.values()))[0]
            person = self.rng.choice(self.everybody)
            self._trace(f"{person.name}: {step.__name__}")
            try:
                step(self, person)
            except EntrenousError as error:
                self._trace(f"   {type(error).__name__}")
                self.outcome.step_counts[f"{step.__name__}: {type(error).__name__}"] += 1
            else:
                self.outcome.step_counts[step.__name__] += 1
        self._let_everybody_fetch()
        self._check()
        return self.outcome

    def _trace(self, line: str) -> None:
        self.outcome.trace.append(line)

    # --- steps ----------------------------------------------------------------------------------

    def fetch(self, person: Person) -> None:
        fetch_messages(person.device)

    def send(self, person: Person) -> None:
        """Send from Ana's household to another household, or from another household to Ana's."""
        ana, *others = self.addressees
        from_ana = self._household_of(person) is self.households[0]
        try:
            person.send(SMALL_PICTURE, self.rng.choice(others) if from_ana else ana)
        except WaitsInOutbox:
            copies = COPY_DELIVERY_TABLE.all(person.device.vault)
            self.delayed_envelopes |= {
                copy.envelope for copy in copies if not copy.is_confirmed_by_relay
            }
            raise

    def move(self, person: Person) -> None:
        url = self.rng.choice([url for url in RELAY_URLS if url != person.home[0]])
        fetch_messages(person.device)
        move_all_devices(url, None, person.device)
        self._trace(f"   to {url}")

    def cancel_move(self, person: Person) -> None:
        cancel_move(person.device)

    def adopt_new_relay_lock(self, person: Person) -> None:
        """Record that the vault uses the new relay's lock, as an unlock after a move does."""
        clear_next_relay_lock(person.device)

    def link_another_device(self, person: Person) -> None:
        if self.linked_count == _LINKS_MAX:
            return
        self.linked_count += 1
        name = f"more {self.linked_count}"
        fetch_messages(person.device)
        self._household_of(person).append(self._link_device(person, name))

    def revoke_lost_device(self, person: Person) -> None:
        household = self._household_of(person)
        others = [one for one in household if one is not person]
        if not others:
            return
        lost = self.rng.choice(others)
        fetch_messages(person.device)
        key = own_device(lost.device).key.device
        called = next(one.name for one in own_linked_devices(person.device) if one.device == key)
        revoke_device(called, lost=True, sheet=None, device=person.device)
        household.remove(lost)
        self.lost.append(lost)
        self._trace(f"   {lost.name}")

    def toggle_relay(self, _who: Person) -> None:
        if self.disconnected_relay is not None:
            self.network.reconnect(self.disconnected_relay)
            self.disconnected_relay = None
        else:
            self.disconnected_relay = self.rng.choice(RELAY_URLS)
            self.network.disconnect(self.disconnected_relay)

    def advance_clock(self, _who: Person) -> None:
        self.network.clock.advance(days=self.rng.choice((0.1, 1)))

    def _household_of(self, person: Person) -> list[Person]:
        return next(one for one in self.households if any(person is each for each in one))

    def _link_device(self, old: Person, name: str) -> Person:
        new = add_blank_device(self.network, name)
        self._record_posts(new)
        link_devices(old.device, new.device, name)
        catch_up(new, old, new, old, new)
        return new

    def _record_posts(self, person: Person) -> None:
        """Record the envelopes that a device posts."""
        posted = self.posted.setdefault(person.name, set())

        def trick(honest: HonestCall, url: str, token: Secret, envelope: Envelope) -> Any:
            posted.add(envelope.id)
            return honest(url, token, envelope)

        self.post_recorders.enter_context(person.courier.replace_calls(post=trick))

    # --- the end --------------------------------------------------------------------------------

    def _let_everybody_fetch(self) -> None:
        if self.disconnected_relay is not None:
            self.network.reconnect(self.disconnected_relay)
        for _ in range(_FINAL_FETCHES):
            self.network.clock.advance(days=1 / 12)
            for one in self.everybody:
                with suppress(EntrenousError):
                    fetch_messages(one.device)

    def _check(self) -> None:
        violations = self.outcome.violations
        for household in self.households:
            relays = {one.home[0] for one in household}
            if len(relays) > 1:
                violations.append(f"{household[0].name} is at {sorted(relays)}")
        # Keys for a lost device are deleted, so earlier letters from it may not be decryptable.
        from_lost_devices = {letter.hex() for one in self.lost for letter in self.posted[one.name]}
        for one in self.everybody:
            undecryptable = set(one.device.vault.keys(UNDECRYPTABLE_LETTER)) - from_lost_devices
            if undecryptable:
                violations.append(f"{one.name} could not open {len(undecryptable)}")
            for table, what in _TABLES_EMPTY_AT_END.items():
                if one.device.vault.keys(table):
                    violations.append(f"{one.name} still has {what}")
        for writer, reader in self._pairs_that_write():
            if not can_write(writer, reader):
                violations.append(f"{writer.name} cannot write to {reader.name} where they are")
        violations.extend(self._undelivered_copies())

    def _pairs_that_write(self) -> list[tuple[Person, Person]]:
        anas, *others = self.households
        within_households = [
            (a, b) for one in self.households for a in one for b in one if a is not b
        ]
        across_households = [(a, b) for other in others for a in anas for b in other]
        return [*within_households, *across_households, *((b, a) for a, b in across_households)]

    def _undelivered_copies(self) -> list[str]:
        """Describe each copy that was refused, never left or never reached its device.

        A copy may be refused if it waited in an outbox while the recipient moved, because the copy
        names the relay that stores the files.
        """
        person_by_device = {own_device(one.device).key.device: one for one in self.everybody}
        violations = list[str]()
        for writer in self.everybody:
            for copy in COPY_DELIVERY_TABLE.all(writer.device.vault):
                reader = person_by_device.get(copy.device)
                if reader is None:
                    continue
                received_ids = {one.id for one in received_messages(reader.device)}
                is_refused = copy.departure is SendState.REFUSED
                if is_refused and copy.envelope not in self.delayed_envelopes:
                    violations.append(f"what {writer.name} sent to {reader.name} was refused")
                elif not is_refused and copy.message not in received_ids:
                    violations.append(f"{reader.name} has not got what {writer.name} sent")
        return violations


_STEP_WEIGHTS: Final[dict[Callable[[MoveSimulation, Person], None], int]] = {
    MoveSimulation.fetch: 44,
    MoveSimulation.send: 18,
    MoveSimulation.move: 17,
    MoveSimulation.cancel_move: 1,
    MoveSimulation.adopt_new_relay_lock: 6,
    MoveSimulation.link_another_device: 5,
    MoveSimulation.toggle_relay: 4,
    MoveSimulation.revoke_lost_device: 2,
    MoveSimulation.advance_clock: 3,
}


def run_one(seed: int) -> Outcome:
    """Run one simulation; the seed determines all steps."""
    return MoveSimulation(seed).run()


def main(arguments: list[str]) -> int:
    """Run the command that the module docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed, and print every step")
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = run_one(options.seed)
        print(*outcome.trace, outcome.report or "nothing was wrong", sep="\n")  # noqa: T201
        return 1 if outcome.report else 0
    step_counts, failed_run_count = Counter[str](), 0
    for seed in new_seeds(options.runs):
        outcome = run_one(seed)
        step_counts.update(outcome.step_counts)
        failed_run_count += bool(outcome.report)
        if outcome.report:
            print(outcome.report, flush=True)  # noqa: T201
    summed = {
        "runs": options.runs,
        "wrong": failed_run_count,
        "did": dict(sorted(step_counts.items())),
    }
    print(json.dumps({"schema": "entrenous/moving/1", **summed}))  # noqa: T201
    return 1 if failed_run_count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
