"""Households that move, link, lose devices and write to each other, in an order set by a seed.

``python -m tests.village.moving.run --runs 100`` exits with 1 if anything was wrong, and prints
each such seed with the command that plays it again. At the end everybody fetches, and then all
devices of a household must be at one relay, every letter must have opened, each device must have
tokens for the current mailbox of each other one, and every message must have reached the devices
that were not revoked.
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
from tests.village.siege.run import fresh_seeds
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
_FINAL_FETCHES: Final = 6  # in which everybody fetches at the end, two hours apart


@dataclass
class Outcome:
    """The result of one run."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    @property
    def report(self) -> str:
        """What was wrong, and the command that plays it again; empty if nothing was."""
        again = REPLAY_COMMAND.format(seed=self.seed)
        return "" if not self.wrong else "\n".join([*self.wrong, again])


class MoveSimulation:
    """Ana and Ben with two devices each, Cleo with one; Ana knows both, and they her."""

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
        self.watched = ExitStack()
        self.posted: dict[str, set[EnvelopeId]] = {}
        for one in (ana, ben, cleo):
            self._record_posts(one)
        phone, tablet = self._link_device(ana, "phone"), self._link_device(ben, "tablet")
        self.lost, self.delayed_envelopes = list[Person](), set[EnvelopeId]()
        self.households = [[ana, phone], [ben, tablet], [cleo]]
        self.addressees = (ana, ben, cleo)  # one for each household, to whom others write
        self.silent_relay: str | None = None
        self.linked_count = 0
        for _ in range(3):
            catch_up(*self.everybody)

    @property
    def everybody(self) -> list[Person]:
        return [one for household in self.households for one in household]

    def run(self) -> Outcome:
        """Take all steps, let everything settle, and check the result."""
        for _ in range(self.steps):
            step = self.rng.choices(list(_STEP_WEIGHTS), list(_STEP_WEIGHTS.values()))[0]
            who = self.rng.choice(self.everybody)
            self._trace(f"{who.name}: {step.__name__}")
            try:
                step(self, who)
            except EntrenousError as error:
                self._trace(f"   {type(error).__name__}")
                self.outcome.did[f"{step.__name__}: {type(error).__name__}"] += 1
            else:
                self.outcome.did[step.__name__] += 1
        self._settle()
        self._check()
        return self.outcome

    def _trace(self, line: str) -> None:
        self.outcome.trace.append(line)

    # --- steps ----------------------------------------------------------------------------------

    def fetches(self, who: Person) -> None:
        fetch_messages(who.device)

    def send(self, who: Person) -> None:
        """Send from Ana's household to another one, or from another one to hers."""
        ana, *others = self.addressees
        from_ana = self._household_of(who) is self.households[0]
        try:
            who.send(SMALL_PICTURE, self.rng.choice(others) if from_ana else ana)
        except WaitsInOutbox:
            copies = COPY_DELIVERY_TABLE.all(who.device.vault)
            self.delayed_envelopes |= {
                copy.envelope for copy in copies if not copy.is_confirmed_by_relay
            }
            raise

    def moves(self, who: Person) -> None:
        url = self.rng.choice([url for url in RELAY_URLS if url != who.home[0]])
        fetch_messages(who.device)
        move_all_devices(url, None, who.device)
        self._trace(f"   to {url}")

    def stays(self, who: Person) -> None:
        cancel_move(who.device)

    def opens_by_the_new_relay(self, who: Person) -> None:
        """Do what unlocking the vault does after a move (device/relay_lock_client.py)."""
        clear_next_relay_lock(who.device)

    def links_another(self, who: Person) -> None:
        if self.linked_count == _LINKS_MAX:
            return
        self.linked_count += 1
        name = f"more {self.linked_count}"
        fetch_messages(who.device)
        self._household_of(who).append(self._link_device(who, name))

    def loses_one(self, who: Person) -> None:
        household = self._household_of(who)
        others = [one for one in household if one is not who]
        if not others:
            return
        lost = self.rng.choice(others)
        fetch_messages(who.device)
        key = own_device(lost.device).key.device
        called = next(one.name for one in own_linked_devices(who.device) if one.device == key)
        revoke_device(called, lost=True, sheet=None, device=who.device)
        household.remove(lost)
        self.lost.append(lost)
        self._trace(f"   {lost.name}")

    def a_relay_is_away_or_back(self, _who: Person) -> None:
        if self.silent_relay is not None:
            self.network.reconnect(self.silent_relay)
            self.silent_relay = None
        else:
            self.silent_relay = self.rng.choice(RELAY_URLS)
            self.network.disconnect(self.silent_relay)

    def time_passes(self, _who: Person) -> None:
        self.network.clock.advance(days=self.rng.choice((0.1, 1)))

    def _household_of(self, who: Person) -> list[Person]:
        return next(one for one in self.households if any(who is each for each in one))

    def _link_device(self, old: Person, name: str) -> Person:
        new = add_blank_device(self.network, name)
        self._record_posts(new)
        link_devices(old.device, new.device, name)
        catch_up(new, old, new, old, new)
        return new

    def _record_posts(self, who: Person) -> None:
        """Record which letters a device posts."""
        posted = self.posted.setdefault(who.name, set())

        def trick(honest: HonestCall, url: str, token: Secret, envelope: Envelope) -> Any:
            posted.add(envelope.id)
            return honest(url, token, envelope)

        self.watched.enter_context(who.courier.replace_calls(post=trick))

    # --- the end --------------------------------------------------------------------------------

    def _settle(self) -> None:
        if self.silent_relay is not None:
            self.network.reconnect(self.silent_relay)
        for _ in range(_FINAL_FETCHES):
            self.network.clock.advance(days=1 / 12)
            for one in self.everybody:
                with suppress(EntrenousError):
                    fetch_messages(one.device)

    def _check(self) -> None:
        wrong = self.outcome.wrong
        for household in self.households:
            relays = {one.home[0] for one in household}
            if len(relays) > 1:
                wrong.append(f"{household[0].name} is at {sorted(relays)}")
        # Keys of a lost device are deleted, so what it posted before may not open any more.
        forgotten = {letter.hex() for one in self.lost for letter in self.posted[one.name]}
        for one in self.everybody:
            aside = set(one.device.vault.keys(UNDECRYPTABLE_LETTER)) - forgotten
            if aside:
                wrong.append(f"{one.name} could not open {len(aside)}")
            for table, what in _TABLES_EMPTY_AT_END.items():
                if one.device.vault.keys(table):
                    wrong.append(f"{one.name} still has {what}")
        for writer, reader in self._pairs_in_touch():
            if not can_write(writer, reader):
                wrong.append(f"{writer.name} cannot write to {reader.name} where they are")
        wrong.extend(self._undelivered())

    def _pairs_in_touch(self) -> list[tuple[Person, Person]]:
        anas, *others = self.households
        near = [(a, b) for one in self.households for a in one for b in one if a is not b]
        far = [(a, b) for other in others for a in anas for b in other]
        return [*near, *far, *((b, a) for a, b in far)]

    def _undelivered(self) -> list[str]:
        """Return the copies that were refused, never left or never reached their device.

        A copy that waited in an outbox while its reader moved may be refused, since it names the
        relay that its files are on.
        """
        here = {own_device(one.device).key.device: one for one in self.everybody}
        wrong = list[str]()
        for writer in self.everybody:
            for copy in COPY_DELIVERY_TABLE.all(writer.device.vault):
                reader = here.get(copy.device)
                if reader is None:
                    continue
                came = {one.id for one in received_messages(reader.device)}
                is_refused = copy.departure is SendState.REFUSED
                if is_refused and copy.envelope not in self.delayed_envelopes:
                    wrong.append(f"what {writer.name} sent to {reader.name} was refused")
                elif not is_refused and copy.message not in came:
                    wrong.append(f"{reader.name} has not got what {writer.name} sent")
        return wrong


_STEP_WEIGHTS: Final[dict[Callable[[MoveSimulation, Person], None], int]] = {
    MoveSimulation.fetches: 44,
    MoveSimulation.send: 18,
    MoveSimulation.moves: 17,
    MoveSimulation.stays: 1,
    MoveSimulation.opens_by_the_new_relay: 6,
    MoveSimulation.links_another: 5,
    MoveSimulation.a_relay_is_away_or_back: 4,
    MoveSimulation.loses_one: 2,
    MoveSimulation.time_passes: 3,
}


def run_one(seed: int) -> Outcome:
    """Run one town; everything follows from its seed."""
    return MoveSimulation(seed).run()


def main(arguments: list[str]) -> int:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and tell every step")
    parser.add_argument("--runs", type=int, default=100)
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        outcome = run_one(asked.seed)
        print(*outcome.trace, outcome.report or "nothing was wrong", sep="\n")  # noqa: T201
        return 1 if outcome.report else 0
    did, wrong = Counter[str](), 0
    for seed in fresh_seeds(asked.runs):
        outcome = run_one(seed)
        did.update(outcome.did)
        wrong += bool(outcome.report)
        if outcome.report:
            print(outcome.report, flush=True)  # noqa: T201
    summed = {"runs": asked.runs, "wrong": wrong, "did": dict(sorted(did.items()))}
    print(json.dumps({"schema": "entrenous/moving/1", **summed}))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
