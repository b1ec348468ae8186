"""Measure how many edited uploads a gate recognises, and how often strangers' pictures match.

    python -m bench.stopping.recall              33 photographs, all edits: half an hour of a core
    python -m bench.stopping.recall --later      35 others, which were never used to choose anything
    python -m bench.stopping.recall --quick      some photographs and edits: about a minute
    python -m bench.stopping.recall --embedding  embeddings, too (with the extra `embedding`)

For each photograph, the hash of the whole and those of windows are registered. The photograph is
edited, saved as a JPEG and uploaded; for each scan, it is decoded at the resolution that a gate
uses. `fast` is the first scan, before the answer; `deep` adds the deferred scan; `deep, no windows`
is the same for a person who registered the hash of the whole alone. Matches of unrelated pictures
are counted as false in four sets of pairs. At the first scan, pieces of different photographs are
paired (`fast_false`). At the deferred scan, every edited upload is paired with every other
photograph and its windows (`deep_false`), and some uploads are paired with pieces of the other
photographs, each registered as a picture of its own, without windows (`deep_wholes_false`) and with
windows (`deep_pieces_false`). `recall` counts all photographs, `held_out` only those that were not
used for tuning. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from bench.attacks.save import load
from bench.stopping.alike import EmbeddingRecall
from bench.stopping.recall_edits import EDITS, edited
from bench.stopping.recall_false import Counted, Pieces, Strangers, false_deep, false_fast, tiles
from bench.stopping.recall_looks import (
    Registered,
    UploadHashes,
    hash_upload,
    nearest,
    register,
    report_progress,
)
from bench.stopping.recall_pictures import Subject, later_subjects, subjects
from entrenous.base.limits import PDQ_RADIUS_BITS

QUICK: Final = (
    "jpeg 10",
    "quarter size",
    "mirror",
    "border 5",
    "letterbox 1:1",
    "crop 30 of area",
    "crop 30 of sides",
    "turn 10",
    "caption bar",
    "meme text",
    "screenshot of an app",
    "collage 2x2",
)
FALSE_EDITS: Final = ("crop 10 of sides", "screenshot of an app", "meme text")
_Uploads = Callable[[str, Sequence[Registered]], Iterable[tuple[bytes, UploadHashes]]]
_Each = Callable[..., Iterable[tuple[bytes, UploadHashes]]]

SCANS: Final = ("fast", "deep, no windows", "deep")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    The first ``photographs`` that can be registered are in the bank (None: all); of these, about
    ``tried`` are edited and uploaded (None: all). ``jobs`` processes make the uploads.
    """

    seed: int = 1
    jobs: int = 1
    edits: Sequence[str] = tuple(EDITS)
    false_edits: Sequence[str] = FALSE_EDITS
    photographs: int | None = None
    tried: int | None = None


SOME: Final = Plan(jobs=2, edits=QUICK, false_edits=FALSE_EDITS[:1], tried=4)
"""The plan of ``--quick``."""


@dataclass(slots=True)
class Grid:
    """Distances in bits of uploads from what was registered, by (held out, edit, scan).

    ``missed`` has, by edit, the names of the photographs that no scan found.
    """

    nearest: dict[tuple[bool, str, str], list[int]] = field(default_factory=dict)
    missed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, one: Registered, edit: str, hashes: UploadHashes) -> int:
        """Count an upload of photograph ``one``; return its least distance in bits at any scan."""
        fast = nearest(hashes.fast, one.whole)
        no_windows = min(fast, nearest(hashes.deep, one.whole))
        deep = min(no_windows, nearest(hashes.deep_parts, one.parts))
        for name, bits in zip(SCANS, (fast, no_windows, deep), strict=True):
            self.nearest.setdefault((one.subject.held_out, edit, name), []).append(bits)
        if deep > PDQ_RADIUS_BITS:
            self.missed.setdefault(edit, []).append(one.subject.name)
        return deep

    def recall(self, edit: str, scan: str, *held_out: bool) -> float:
        """Return the share found by ``scan``, of photographs whose ``held_out`` is one of these."""
        bits = [b for held in held_out for b in self.nearest.get((held, edit, scan), [])]
        return round(float(np.mean(np.array(bits) <= PDQ_RADIUS_BITS)), 3)


def main(arguments: list[str] | None = None) -> None:
    """Measure, report progress, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--later", action="store_true")
    parser.add_argument("--embedding", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args(arguments)
    of = later_subjects() if asked.later else subjects()
    plan = replace(SOME if asked.quick else Plan(), seed=asked.seed, jobs=asked.jobs)
    print(json.dumps(measure_recall(of, plan, embedding=asked.embedding)))  # noqa: T201


def measure_recall(
    of: Iterable[Subject], plan: Plan, *, embedding: bool = False
) -> dict[str, object]:
    """Measure recall and false pairs of the photographs ``of``; return all figures."""
    bank = list(islice((one for one in map(register, of) if one is not None), plan.photographs))
    every = max(1, len(bank) // (plan.tried or len(bank)))
    alike = EmbeddingRecall.of([one.subject for one in bank]) if embedding else None
    strangers = Strangers(bank, every)
    with ProcessPoolExecutor(plan.jobs) as pool:
        uploads = partial(_uploads, pool.map, plan.seed)
        grid = measure(bank[::every], plan.edits, uploads, strangers, alike)
    rng = np.random.default_rng(plan.seed)
    known = Pieces.of(bank, tiles)
    false = {"fast": false_fast(bank, known, every), "deep": strangers.count}
    deep = false_deep(bank, known, every, plan.false_edits, rng)
    false |= zip(("deep_wholes", "deep_pieces"), deep, strict=True)
    extra = {} if alike is None else {"embedding": alike.answer()}
    return {**answer(grid, false), **extra}


def measure(
    bank: Sequence[Registered],
    edits: Sequence[str],
    uploads: _Uploads,
    strangers: Strangers,
    alike: EmbeddingRecall | None = None,
) -> Grid:
    """Upload every photograph with every edit; write to standard error which shares were found."""
    grid = Grid()
    for edit in edits:
        made = zip(bank, uploads(edit, bank), strict=True)
        for number, (one, (upload, hashes)) in enumerate(made):
            bits = grid.add(one, edit, hashes)
            strangers.count_upload(edit, number, hashes)
            if alike is not None:
                alike.add(one.subject, edit, load(upload), deep=bits <= PDQ_RADIUS_BITS)
        row = [f"{grid.recall(edit, one, False, True):.2f}" for one in SCANS]
        row += [] if alike is None else [f"{x:.2f}" for x in alike.recall(edit, False, True)]
        report_progress(
            f"{edit:30} {' '.join(row)}  missed: {', '.join(grid.missed.get(edit, []))}"
        )
    return grid


def _uploads(
    each: _Each, seed: int, edit: str, bank: Sequence[Registered]
) -> Iterable[tuple[bytes, UploadHashes]]:
    """Return an edited upload of each photograph, with the hashes of its scans."""
    return each(partial(_upload, seed, edit), [one.subject for one in bank])


def _upload(seed: int, edit: str, subject: Subject) -> tuple[bytes, UploadHashes]:
    upload = edited(seed, edit, subject)
    return upload, hash_upload(upload)


def answer(grid: Grid, false: Mapping[str, Counted]) -> dict[str, object]:
    """Return the figures of the last line."""
    edits = list(dict.fromkeys(edit for _, edit, _ in grid.nearest))
    recall = {scan: {e: grid.recall(e, scan, False, True) for e in edits} for scan in SCANS}
    held_out = [edit for edit in edits if (True, edit, SCANS[0]) in grid.nearest]
    held = {scan: {e: grid.recall(e, scan, True) for e in held_out} for scan in SCANS}
    return {
        "schema": "entrenous/bench-stop-recall/1",
        "recall": recall,
        "held_out": held,
        "false_pairs": sum(count.false for count in false.values()),
        **{f"{scan}_false": count.as_json() for scan, count in false.items()},
    }


if __name__ == "__main__":
    main()
