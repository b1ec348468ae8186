"""Simulate weeks of messages under faults: ``python -m tests.village.sim.run --runs 200``.

The command runs one simulation for each seed and prints one line of JSON at the end. It exits with
1 if an invariant was violated, and prints each such seed with the command that runs it again.
"""

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx

from entrenous.base.errors import EntrenousError, Expired, TakenBack, UsedUp, WaitedTooLong
from entrenous.send.message.draft import NothingToRecall
from entrenous.send.message.states import OpenedElsewhere
from tests.village.crashes import Crash
from tests.village.siege.run import new_seeds
from tests.village.sim.faults import NO_FAULTS, choose_faults
from tests.village.sim.oracle import Oracle
from tests.village.sim.people import STEP_WEIGHTS, Actor
from tests.village.sim.rng import random_pause_s, rng_for
from tests.village.sim.world import (
    ANAS_PHONE,
    PEOPLE,
    Host,
    RelayHost,
    Simulation,
    disk_contents_after_setup,
)

REPLAY_COMMAND: Final = (
    "python -m tests.village.sim.run --seed {seed} --steps {steps} --weeks {weeks:g}"
)
WEEK_S: Final = 7 * 24 * 3600.0
WEEKS: Final = 1.0
_EXPECTED_ERRORS: Final = (
    *(Expired, TakenBack, UsedUp, OpenedElsewhere, NothingToRecall),
    WaitedTooLong,  # a relay was unreachable until the message expired
)


@dataclass
class Outcome:
    """The result of one run; ``steps`` is the number of steps until a violation or the end."""

    seed: int
    weeks: float
    steps: int = 0
    violations: list[str] = field(default_factory=list)
    step_counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    simulated_s: float = 0.0

    @property
    def report(self) -> str:
        """The violations and the command that runs the seed again; empty if nothing was wrong."""
        again = REPLAY_COMMAND.format(seed=self.seed, steps=self.steps, weeks=self.weeks)
        return "" if not self.violations else "\n".join([*self.violations, again])


class SimulationRun:
    """One run: weeks with faults, then some days without, and a check of the final state."""

    def __init__(self, seed: int, weeks: float = WEEKS, steps: int | None = None) -> None:
        self.rng = rng_for("run", seed)
        self.weeks, self.steps_left = weeks, steps
        people, phone = self.rng.choice((3, 3, 4, 5)), self.rng.random() < 0.5
        names = PEOPLE[:people] + ((ANAS_PHONE,) if phone else ())
        self.simulation = Simulation(names, seed, disk_contents_after_setup(people, phone=phone))
        self.schedule, self.faults = self.simulation.schedule, choose_faults(self.rng)
        # Mean time between the steps of a person.
        self.pause_s = self.rng.choice((1, 3, 6)) * 3600.0
        self.oracle = Oracle(self.simulation.hosts)
        self.simulation.on_answer = self._record_answer
        self.simulation.on_relay_crash = self._restart_relay_later
        self.outcome = Outcome(seed, weeks, violations=self.oracle.violations)
        pictures = 2 if self.rng.random() < 0.05 else 0
        self.actors = [
            Actor(host, rng_for(host.name, seed), self.oracle, pictures)
            for host in self.simulation.hosts.values()
        ]
        self.faults_stopped = False

    def run(self) -> Outcome:
        """Run the weeks with faults and the days without, and return the result."""
        start = self.schedule.clock.now()
        self.simulation.faults = self.simulation.network.faults = self.faults
        for actor in self.actors:
            self.oracle.check_device(actor.host)
            self._schedule_step(actor)
        for relay in self.simulation.relays.values():
            self._schedule_sweep(relay)
        end = start + timedelta(seconds=self.weeks * WEEK_S)
        while self.schedule.clock.now() < end and not self.oracle.violations:
            self.schedule.wait(3600.0)
        if not self.oracle.violations:
            self._stop_faults_and_finish()
        self.outcome.step_counts.update(
            {str(f): n for f, n in self.simulation.network.fate_counts.items()}
        )
        self.outcome.step_counts["kept its word"] = self.oracle.checks_held
        self.outcome.simulated_s = (self.schedule.clock.now() - start).total_seconds()
        return self.outcome

    def _is_finished(self) -> bool:
        return bool(self.oracle.violations) or self.outcome.steps == self.steps_left

    # --- events ---------------------------------------------------------------------------------

    def _schedule_step(self, actor: Actor) -> None:
        def take_step_and_reschedule() -> None:
            if not self.faults_stopped and not self._is_finished():
                self._take_random_step(actor)
                self._schedule_step(actor)

        self.schedule.run_after(random_pause_s(self.pause_s, actor.rng), take_step_and_reschedule)

    def _take_random_step(self, actor: Actor) -> None:
        host = actor.host
        if host.busy:
            return
        if actor.rng.random() < self.faults.device / 10:
            self._crash(host, "while it did nothing")
        self.outcome.steps += 1
        step = actor.rng.choices(list(STEP_WEIGHTS), list(STEP_WEIGHTS.values()))[0]
        host.countdown.remaining = self.faults.device_crash_point(actor.rng)
        self.take_step(actor, step)

    def take_step(self, actor: Actor, step: Callable[[Actor], None]) -> bool:
        """Take a step at a device, and check the device; return whether the step succeeded."""
        host, result = actor.host, "done"
        host.busy, actor.draft = True, None
        try:
            step(actor)
        except Crash:
            result = "dies"
            self._crash(host, step.__name__)
        except EntrenousError as error:
            result = type(error).__name__
            self._check_error(error, host, step.__name__)
        except Exception as error:  # noqa: BLE001 - any other error is a finding
            result = repr(error)
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
            self.oracle.report_once(f"{host.name} {step.__name__}: {result} at {where}")
        host.busy, host.countdown.remaining = False, -1
        self._trace(f"{host.name} {step.__name__}: {result}")
        self.outcome.step_counts[f"{step.__name__}: {result}"] += 1
        self.oracle.check_device(host, actor.draft)
        return result == "done"

    def _check_error(self, error: EntrenousError, host: Host, step_name: str) -> None:
        why = error.facts.get("why", error)  # the reason why a copy was refused
        if error.family != "unreachable" and not isinstance(why, _EXPECTED_ERRORS):
            self.oracle.report_once(f"{host.name} {step_name}: {type(error).__name__}: {error}")

    def _crash(self, host: Host, when: str) -> None:
        self._trace(f"{host.name} dies ({when})")
        host.crash()

    def _record_answer(self, request: httpx.Request, answer: httpx.Response) -> None:
        self.oracle.record_answer(request, answer, self.schedule.clock.now())

    def _trace(self, line: str) -> None:
        self.outcome.trace.append(f"{self.schedule.clock.now():%d %H:%M:%S} {line}")

    # --- relays ---------------------------------------------------------------------------------

    def _schedule_sweep(self, relay: RelayHost) -> None:
        def sweep() -> None:
            relay.sweep()
            self._schedule_sweep(relay)

        self.schedule.run_after(random_pause_s(4 * 3600.0, self.rng), sweep)

    def _restart_relay_later(self, relay: RelayHost) -> None:
        """Restart the relay after a random time."""
        self._trace(f"{relay.url} dies")
        self.outcome.step_counts["relay dies"] += 1

        def restart() -> None:
            relay.boot()
            self.oracle.check_restarted_relay(relay, self.schedule.clock.now())

        self.schedule.run_after(random_pause_s(1800.0, self.rng), restart)

    # --- after the faults -----------------------------------------------------------------------

    def _stop_faults_and_finish(self) -> None:
        """Stop all faults, let late requests arrive, repeat recalls, and let everybody write."""
        self.faults_stopped, self.simulation.network.faults, self.simulation.faults = (
            True,
            NO_FAULTS,
            NO_FAULTS,
        )
        self.schedule.wait(3 * 24 * 3600.0)
        for actor in self.actors:
            self.take_step(actor, Actor.repeat_recalls)
        self._catch_up()
        for actor in self.actors:
            self.take_step(actor, Actor.greet_everybody)
        self._catch_up()
        self.oracle.check_final_state(self.schedule.clock.now())

    def _catch_up(self) -> None:
        for _ in range(_FINAL_FETCHES):
            for actor in self.actors:
                self.schedule.wait(600.0)
                self.take_step(actor, Actor.fetch)


_FINAL_FETCHES: Final = 4  # a letter, the answer, the reply to the answer, and one spare round


def run_one(seed: int, weeks: float = WEEKS, steps: int | None = None) -> Outcome:
    """Run one simulation; the seed determines everything."""
    return SimulationRun(seed, weeks, steps).run()


def run_all(
    seeds: Iterable[int], weeks: float, write_line: Callable[[str], None]
) -> dict[str, Any]:
    """Run one simulation for each seed, write each report at once, and return the totals."""
    step_counts: Counter[str] = Counter()
    runs, wrong, simulated_s, begun = 0, 0, 0.0, time.process_time()
    for seed in seeds:
        outcome = run_one(seed, weeks)
        runs, wrong = runs + 1, wrong + bool(outcome.violations)
        simulated_s += outcome.simulated_s
        step_counts.update(outcome.step_counts)
        step_counts["steps"] += outcome.steps
        if outcome.report:
            write_line(outcome.report)
        if runs % 25 == 0:
            write_line(f"{runs} runs, {wrong} wrong, {time.process_time() - begun:.0f} s")
    cpu_s = time.process_time() - begun
    weeks = round(simulated_s / WEEK_S, 1)
    summed = {"runs": runs, "wrong": wrong, "weeks": weeks, "cpu_s": round(cpu_s, 1)}
    return {**summed, "did": dict(sorted(step_counts.items()))}


def main(arguments: list[str]) -> int:
    """Run the command that the module docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed, and print every step")
    parser.add_argument(
        "--steps", type=int, help="the number of steps, after which nobody takes any more"
    )
    parser.add_argument("--weeks", type=float, default=WEEKS)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, help="seeds from here on, not fresh ones")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = run_one(options.seed, options.weeks, options.steps)
        print(*outcome.trace, outcome.report or "nothing was wrong", sep="\n")  # noqa: T201
        return 1 if outcome.report else 0
    first = options.first
    seeds = new_seeds(options.runs) if first is None else range(first, first + options.runs)
    summed = run_all(seeds, options.weeks, lambda line: print(line, flush=True))  # noqa: T201
    print(json.dumps({"schema": "entrenous/sim/1", **summed}))  # noqa: T201
    return 1 if summed["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
