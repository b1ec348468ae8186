"""Measure how fast cases are listed and shown, and routes chosen, on a device with very many cases.

    python -m bench.cases [--runs 7] [--cases 5000]

The benchmark builds a vault through the product's own rules, in one transaction: each case has four
sightings, and every tenth case has a notice. Each figure is the median of several runs of the real
program, in turns with ``entrenous --version`` and with argon2id for that vault's passphrase. From
the figures with "beyond" in their name, the times of these two are subtracted. Processor time is
printed too, since it does not include other work on the machine. The last line is JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.start import ARGON2ID, PASSPHRASE, PROGRAM, Cost, cost_of, output_of
from entrenous.base.environment import read_settings
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.respond.law.places import Place
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.nouns import AgeAnswer, Sighting, SightingReach
from entrenous.respond.open_case import add_sighting, open_case
from entrenous.respond.situation import PictureMaker, Situation
from tests.vaults import open_device

SCHEMA: Final = "entrenous/bench-cases/1"
BEYOND_S_MAX: Final = 0.5
_MEASURED: Final = ("case_list", "law_routes", "case_show", "case_list_json")
_SIGHTINGS: Final = 4  # in each case
_HOSTS: Final = ("reddit.com", "x.com", "pictures.example", "imgur.com")


def fill(device: Device, cases: int) -> str:
    """Open cases with sightings, and return the name of the last one, which has a notice."""
    situation = Situation((Place("US"),), intimate=True, taken_by=PictureMaker.ME)
    began = device.clock.now() - timedelta(days=300)
    name = ""
    with device.vault.transaction():
        for number in range(cases):
            name = open_case(None, situation, AgeAnswer.ADULTS, device).name
            for place in range(_SIGHTINGS):
                where = f"https://{_HOSTS[place]}/{number}/{place}"
                seen = Sighting(where, SightingReach.PUBLIC, began + timedelta(minutes=number))
                add_sighting(name, seen, device)
            if number % 10 == 0 or number == cases - 1:
                draft_and_store_notice(name, "us-tida-removal", device, (1,))
    return name


def measure(runs: int, cases: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = {"ENTRENOUS_HOME": str(Path(folder) / "home"), "ENTRENOUS_PASSPHRASE": PASSPHRASE}
        surroundings = os.environ | home
        output_of([*PROGRAM, "setup", "--name", "ana", "--offline"], surroundings)
        began_s = time.perf_counter()
        with open_device(read_settings(home), lambda: Secret(PASSPHRASE.encode())) as device:
            name = fill(device, cases)
        built_s = time.perf_counter() - began_s
        commands = {
            "version": ("--version",),
            "case_list": ("case", "list"),
            "case_list_json": ("case", "list", "--json"),
            "law_routes": ("law", "routes", name),
            "case_show": ("case", "show", name),
        }
        turns = [_measure_once(commands, surroundings) for _ in range(runs + 1)][1:]
        database_mb = (Path(folder) / "home" / "vault.db").stat().st_size / 1024**2
    return {
        "schema": SCHEMA,
        "runs": runs,
        "cases": cases,
        "sightings": cases * _SIGHTINGS,
        "built_s": round(built_s, 1),
        "database_mb": round(database_mb, 1),
        **_figures(turns, "s"),
        **_figures(turns, "cpu_s"),
    }


def _figures(turns: Sequence[dict[str, Cost]], unit: str) -> dict[str, float]:
    """Return medians, and for each measured command also the difference from the sum of start and
    argon2id, and the ratio to that sum.
    """
    took = {what: median(getattr(turn[what], unit) for turn in turns) for what in turns[0]}
    floor = took["version"] + took["argon2id"]
    found = {f"{what}_{unit}": round(one, 4) for what, one in took.items()}
    for what in _MEASURED:
        found[f"{what}_beyond_{unit}"] = round(took[what] - floor, 4)
        found[f"{what}_{unit}_over_start"] = round(took[what] / floor, 2)
    return found


def _measure_once(
    commands: dict[str, Sequence[str]], surroundings: dict[str, str]
) -> dict[str, Cost]:
    costs = {what: cost_of((*PROGRAM, *words), surroundings) for what, words in commands.items()}
    output = output_of([sys.executable, "-c", ARGON2ID], surroundings)
    return costs | {"argon2id": Cost(*map(float, output.split()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cases", type=int, default=5_000)
    chosen = parser.parse_args()
    found = measure(chosen.runs, chosen.cases)
    lines = [
        f"{what}: {found[f'{what}_beyond_s']} s ({found[f'{what}_beyond_cpu_s']} s of processor "
        f"time) beyond start and argon2id, at most {BEYOND_S_MAX}; "
        f"{found[f'{what}_s_over_start']} x these two"
        for what in _MEASURED
    ]
    sys.stdout.write("\n".join([*lines, json.dumps(found)]) + "\n")


if __name__ == "__main__":
    main()
