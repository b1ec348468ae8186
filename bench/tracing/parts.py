"""The parts of a run: each measures, keeps its document and plots, and returns the rows."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench.attacks import FAINT, RUIN
from bench.photographs import BY_SIZE, Size, TooSmall
from bench.report import summary
from bench.report.calibration import calibration
from bench.report.documents import keep
from bench.tracing.collusion import Merged
from bench.tracing.copies import Quality
from bench.tracing.cost import Cost, cost
from bench.tracing.grid import Row
from bench.tracing.null import NullRow
from bench.tracing.packed import pack_rows, packed_rows
from bench.tracing.peers import PeerRow, installed
from bench.tracing.plan import Plan, merging
from bench.tracing.run import (
    code,
    grid_of,
    innocents,
    kept_rows,
    merged_of,
    peers_of,
    quality_of,
    raw_folder,
    say,
    spread,
)

_SHARDS: Final = 40  # for each process: so that all end at about the same time


@dataclass(frozen=True, slots=True)
class Run:
    """What is measured, what cannot be, where results and rows go, on how many processes."""

    plan: Plan
    skipped: tuple[str, ...]
    out: Path
    processes: int
    raw: Path


def grid(run: Run) -> list[Row]:
    """Every attack on every photograph."""
    seed, folder = run.plan.seed, raw_folder(run.raw, "grid", run.plan.seed)
    work = partial(grid_of, names=run.plan.attacks, seed=seed, folder=folder)
    parts = spread(work, run.plan.photos, run.processes)
    rows = [row for part in parts for row in _told(part)]
    keep(run.out, "grid", summary.grid(rows, run.plan.seed, run.skipped))
    _plotted("scores", run.out / "scores.png", rows)
    return rows


def others(run: Run, ours: Sequence[Row], looks: Sequence[Quality]) -> list[PeerRow]:
    """The peers on the same leaks."""
    if not installed():
        say("SKIPPED, not installed: blind-watermark, invisible-watermark (docs/benchmarks.md)")
    work = partial(peers_of, names=run.plan.attacks, seed=run.plan.seed)
    rows = [row for part in spread(work, run.plan.peers, run.processes) for row in part]
    keep(run.out, "peers", summary.peers(rows, ours, looks))
    return rows


def looks(run: Run) -> list[Quality]:
    """How copies look, one of each photograph."""
    work = partial(quality_of, seed=run.plan.seed)
    rows = [row for part in spread(work, run.plan.photos, run.processes) for row in part]
    keep(run.out, "copies", summary.copies(rows))
    return rows


def costs(run: Run, *, quick_run: bool) -> list[Cost]:
    """Marking and tracing one picture of each size, alone on the machine; a quick run marks the
    largest that is to be had and traces none.
    """
    rows: list[Cost] = []
    for size in (Size.L, Size.M, Size.S):
        if quick_run and rows:
            break
        try:
            rows.append(cost(BY_SIZE[size][0], size, 24, run.plan.seed, tracing=not quick_run))
        except (FileNotFoundError, TooSmall):
            say(f"SKIPPED, no photograph to be had: cost at {size.value}")
    keep(run.out, "cost", summary.cost(rows))
    return rows


def merging_copies(run: Run) -> list[Merged]:
    """Colluders."""
    work = partial(merged_of, seed=run.plan.seed)
    rows = [row for part in spread(work, merging(run.plan), run.processes) for row in part]
    if rows:
        keep(run.out, "collusion", summary.collusion(rows))
    return rows


def innocent_leaks(run: Run, leaks: int) -> list[NullRow]:
    """Innocent leaks; those that an earlier run of the same seed and code kept, or published, are
    not made again.
    """
    seed = run.plan.seed
    folder, published = raw_folder(run.raw, "null", seed), run.out / "null.rows.xz"
    before = {row.index: row for row in packed_rows(published, seed, code())}
    todo = sorted(set(range(leaks)) - set(before | _kept(folder)))
    say(f"{leaks - len(todo)} of {leaks} innocent leaks are kept; {len(todo)} to go")
    size = max(1, len(todo) // (_SHARDS * run.processes))
    shards = [todo[start : start + size] for start in range(0, len(todo), size)]
    done = 0
    for count in spread(partial(innocents, seed=seed, folder=folder), shards, run.processes):
        done += count
        say(f"{done} of {len(todo)}")
    every = dict(sorted((before | _kept(folder)).items()))
    rows = [row for index, row in every.items() if index < leaks]
    document = summary.null(rows, seed)
    keep(run.out, "null", document)
    pack_rows(published, seed, code(), every.values())
    some = [score for row in rows for score in row.some]
    _plotted("null", run.out / "null.png", document["all"], some)
    return rows


def calibrating(run: Run, photos: Sequence[str]) -> list[Row]:
    """Leaks that all but silence the mark, small, so that ratios of every size occur."""
    small = [(name, Size.XS) for name in photos or BY_SIZE[Size.XS]]
    seed, folder = run.plan.seed, raw_folder(run.raw, "calibration", run.plan.seed)
    work = partial(grid_of, names=(*RUIN, *FAINT), seed=seed, folder=folder)
    rows = [row for part in spread(work, small, run.processes) for row in part]
    found = calibration(rows)
    document = summary.calibrated(found)
    keep(run.out, "calibration", document)
    _plotted("tippett", run.out / "tippett.png", found)
    _plotted("reliability", run.out / "reliability.png", document["reliability"])
    return rows


def _null(run: Run, asked: argparse.Namespace) -> int:
    rows = innocent_leaks(run, asked.leaks)
    _print(summary.null(rows, run.plan.seed)["all"])
    return sum(row.named for row in rows)


def _collusion(run: Run, _asked: argparse.Namespace) -> int:
    rows = merging_copies(run)
    _print(summary.collusion(rows))
    return sum(row.wrong for row in rows)


def _copies(run: Run, _asked: argparse.Namespace) -> int:
    _print(summary.copies(looks(run)))
    return 0


def _cost(run: Run, asked: argparse.Namespace) -> int:
    _print(summary.cost(costs(run, quick_run=asked.quick)))
    return 0


def _calibrate(run: Run, asked: argparse.Namespace) -> int:
    rows = calibrating(run, asked.photos)
    _print(summary.calibrated(calibration(rows)))
    return sum(row.wrong for row in rows)


PARTS: Final[Mapping[str, Callable[[Run, argparse.Namespace], int]]] = MappingProxyType(
    {
        "null": _null,
        "collusion": _collusion,
        "copies": _copies,
        "cost": _cost,
        "calibrate": _calibrate,
    }
)
"""Parts that can be asked for alone: each prints its document and returns the innocents named."""


def _plotted(name: str, file: Path, *data: object) -> None:
    try:
        plots = import_module("bench.report.plots")
    except ModuleNotFoundError:
        say("SKIPPED, matplotlib is not installed (group bench): plots")
        return
    getattr(plots, name)(*data, file)


def _kept(folder: Path) -> dict[int, NullRow]:
    files = sorted(folder.glob("*.jsonl"))
    return {row.index: row for file in files for row in kept_rows(file, NullRow)}


def _told(part: list[Row]) -> list[Row]:
    if part:
        right = sum(row.right for row in part)
        say(f"{part[0].photo} {part[0].size}: {right} of {len(part)} named right")
    return part


def _print(document: Mapping[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
