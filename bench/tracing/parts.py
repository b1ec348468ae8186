"""The parts of a run: each measures, writes its JSON document and plots, and returns the rows."""

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
from bench.report.documents import write_document
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

_SHARDS: Final = 40  # per process; small shards let all processes end at about the same time


@dataclass(frozen=True, slots=True)
class Run:
    """The settings of a run.

    ``skipped`` are photographs of the plan that are not available here. Results are written to
    ``out``, and rows that a later run can reuse to ``raw``.
    """

    plan: Plan
    skipped: tuple[str, ...]
    out: Path
    processes: int
    raw: Path


def grid(run: Run) -> list[Row]:
    """Trace every attack on every photograph."""
    seed, folder = run.plan.seed, raw_folder(run.raw, "grid", run.plan.seed)
    work = partial(grid_of, names=run.plan.attacks, seed=seed, folder=folder)
    parts = spread(work, run.plan.photos, run.processes)
    rows = [row for part in parts for row in _report_photo(part)]
    write_document(run.out, "grid", summary.grid(rows, run.plan.seed, run.skipped))
    _plotted("scores", run.out / "scores.png", rows)
    return rows


def peer_results(run: Run, ours: Sequence[Row], qualities: Sequence[Quality]) -> list[PeerRow]:
    """Measure the peers with the same leakers and attacks.

    ``ours`` and ``qualities`` are our own results.
    """
    if not installed():
        say("SKIPPED, not installed: blind-watermark, invisible-watermark (docs/benchmarks.md)")
    work = partial(peers_of, names=run.plan.attacks, seed=run.plan.seed)
    rows = [row for part in spread(work, run.plan.peers, run.processes) for row in part]
    write_document(run.out, "peers", summary.peers(rows, ours, qualities))
    return rows


def copy_quality(run: Run) -> list[Quality]:
    """Measure how visible marks are, on one copy of each photograph."""
    work = partial(quality_of, seed=run.plan.seed)
    rows = [row for part in spread(work, run.plan.photos, run.processes) for row in part]
    write_document(run.out, "copies", summary.copies(rows))
    return rows


def costs(run: Run, *, quick_run: bool) -> list[Cost]:
    """Measure marking and tracing one picture of each size; nothing else should run meanwhile.

    A quick run marks only the largest picture that is available, and traces none.
    """
    rows: list[Cost] = []
    for size in (Size.L, Size.M, Size.S):
        if quick_run and rows:
            break
        try:
            rows.append(cost(BY_SIZE[size][0], size, 24, run.plan.seed, tracing=not quick_run))
        except (FileNotFoundError, TooSmall):
            say(f"SKIPPED, no photograph to be had: cost at {size.value}")
    write_document(run.out, "cost", summary.cost(rows))
    return rows


def merging_copies(run: Run) -> list[Merged]:
    """Trace merged copies."""
    work = partial(merged_of, seed=run.plan.seed)
    rows = [row for part in spread(work, merging(run.plan), run.processes) for row in part]
    if rows:
        write_document(run.out, "collusion", summary.collusion(rows))
    return rows


def innocent_leaks(run: Run, leaks: int) -> list[NullRow]:
    """Trace innocent leaks; reuse rows that an earlier run with this seed and code kept or
    published.
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
    write_document(run.out, "null", document)
    pack_rows(published, seed, code(), every.values())
    some = [score for row in rows for score in row.some]
    _plotted("null", run.out / "null.png", document["all"], some)
    return rows


def calibrating(run: Run, photos: Sequence[str]) -> list[Row]:
    """Trace small leaks in which the mark is hardly detectable, so that likelihood
    ratios of every size occur.
    """
    small = [(name, Size.XS) for name in photos or BY_SIZE[Size.XS]]
    seed, folder = run.plan.seed, raw_folder(run.raw, "calibration", run.plan.seed)
    work = partial(grid_of, names=(*RUIN, *FAINT), seed=seed, folder=folder)
    rows = [row for part in spread(work, small, run.processes) for row in part]
    found = calibration(rows)
    document = summary.calibrated(found)
    write_document(run.out, "calibration", document)
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
    _print(summary.copies(copy_quality(run)))
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
"""The parts that can be run alone.

Each prints a summary as JSON, and returns the number of innocent copies that were named.
"""


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


def _report_photo(part: list[Row]) -> list[Row]:
    if part:
        right = sum(row.right for row in part)
        say(f"{part[0].photo} {part[0].size}: {right} of {len(part)} named right")
    return part


def _print(document: Mapping[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
