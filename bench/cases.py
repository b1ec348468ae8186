"""How quickly cases are listed and their routes chosen when a device has very many.

    python -m bench.cases [--runs 7] [--cases 5000]

A vault with so many cases and four sightings in each is built through the rules, in one
transaction; every tenth case has a letter. Each figure is the median of several runs of the real
program, in turns with ``entrenous --version`` and with what argon2id takes for the passphrase of
that vault. "Beyond" is without these two; processor time is told beside, since other work on the
machine does not count there. The last line is JSON.
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
    # Run as a file: this folder is on the path then, and not the one that `bench` is in.
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
    """Open cases with sightings; returns the name of the last one, which has a letter."""
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
        turns = [_turn(commands, surroundings) for _ in range(runs + 1)][1:]
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
    """Medians, what is beyond start and argon2id, and how many times these two."""
    took = {what: median(getattr(turn[what], unit) for turn in turns) for what in turns[0]}
    floor = took["version"] + took["argon2id"]
    found = {f"{what}_{unit}": round(one, 4) for what, one in took.items()}
    for what in _MEASURED:
        found[f"{what}_beyond_{unit}"] = round(took[what] - floor, 4)
        found[f"{what}_{unit}_over_start"] = round(took[what] / floor, 2)
    return found


def _turn(commands: dict[str, Sequence[str]], surroundings: dict[str, str]) -> dict[str, Cost]:
    costs = {what: cost_of((*PROGRAM, *words), surroundings) for what, words in commands.items()}
    told = output_of([sys.executable, "-c", ARGON2ID], surroundings)
    return costs | {"argon2id": Cost(*map(float, told.split()))}


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
