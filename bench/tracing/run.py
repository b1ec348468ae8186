"""Run measurements on several processes, and keep their rows so that a run can be continued."""

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import cv2

from bench import attacks
from bench.attacks.save import load
from bench.photographs import BY_SIZE, PHOTOGRAPHS, Size, TooSmall
from bench.tracing.collusion import Merged, merged
from bench.tracing.copies import Quality, quality
from bench.tracing.grid import Cell, Row, leak_and_trace, send_at_size
from bench.tracing.null import Scene, one_leak, scene
from bench.tracing.peers import PeerRow, Sending, compared, installed
from entrenous import watermark
from entrenous.media.picture_reader import read_picture
from entrenous.trace.originals import OriginalsCache

Part = TypeVar("Part")
Result = TypeVar("Result")
Kept = TypeVar("Kept")


def say(words: str) -> None:
    """Write a line about the progress to standard error."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def spread(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int
) -> Iterator[Result]:
    """Yield the result of ``work`` for each part, in the order of the parts.

    OpenCV uses one thread in each process, so that measured times are meaningful.
    """
    if processes == 1:
        cv2.setNumThreads(1)
        yield from map(work, parts)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(work, parts)


def missing(photos: Iterable[tuple[str, Size]]) -> list[str]:
    """Return the photographs that are not available here, each as its name and size."""
    gone = []
    for name, size in photos:
        try:
            PHOTOGRAPHS[name].at(size)
        except (FileNotFoundError, ModuleNotFoundError, TooSmall):
            gone.append(f"{name} {size.value}")
    return gone


def grid_of(photo: tuple[str, Size], names: Sequence[str], seed: int, folder: Path) -> list[Row]:
    """Trace every attack on one photograph; no rows are made if it is not available.

    Rows are kept in ``folder``; attacks whose rows are there already are not measured again.
    """
    file = folder / f"{photo[0]} {photo[1].value}.jsonl"
    kept = {row.attack: row for row in kept_rows(file, Row)}
    todo = [name for name in names if name not in kept]
    sent = send_at_size(*photo, seed) if todo else None
    if sent is not None:
        with file.open("a") as rows:
            for name in todo:
                kept[name] = leak_and_trace(Cell(*photo, name, seed), sent)
                rows.write(f"{json.dumps(asdict(kept[name]))}\n")
                rows.flush()
    return [kept[name] for name in names if name in kept]


def raw_folder(raw: Path, what: str, seed: int) -> Path:
    """Return the folder for rows of this seed and code, and create it if needed."""
    folder = raw / f"{what}-{seed}-{code()}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peers_of(photo: tuple[str, Size], names: Sequence[str], seed: int) -> list[PeerRow]:
    """Measure every installed peer with the leakers and attacks of our own measurement."""
    try:
        original = load(PHOTOGRAPHS[photo[0]].file_at(photo[1]))
    except (FileNotFoundError, ModuleNotFoundError, TooSmall):
        return []
    rows = []
    for peer in installed().values():
        sending = Sending(peer, original, seed)
        rows += [compared(Cell(*photo, name, seed), sending) for name in names]
    return rows


def merged_of(photo: tuple[str, Size], seed: int) -> list[Merged]:
    """Trace every merge of one photograph's copies."""
    sent = send_at_size(*photo, seed)
    return [] if sent is None else list(merged(*photo, sent, seed))


def quality_of(photo: tuple[str, Size], seed: int) -> list[Quality]:
    """Measure how visible the mark of one copy is; no rows if the photograph is not available."""
    try:
        return [quality(*photo, seed, perceptual=True)]
    except (FileNotFoundError, ModuleNotFoundError, TooSmall):
        return []


def innocents(indices: Sequence[int], seed: int, folder: Path) -> int:
    """Trace these innocent leaks, append their rows to this process's own file in ``folder``, and
    return their number.
    """
    file = folder / f"{os.getpid()}.jsonl"
    originals = OriginalsCache(read_picture)
    with file.open("a") as kept:
        for index in indices:
            row = one_leak(index, seed, _small(), partial(_scene, seed=seed), originals)
            kept.write(f"{json.dumps(asdict(row))}\n")
            kept.flush()
    return len(indices)


def kept_rows(file: Path, made: Callable[..., Kept]) -> list[Kept]:
    """Return the rows that an earlier run kept; a line that was cut short is skipped."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            fields: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.append(made(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}))
    return rows


def code() -> str:
    """Return eight hexadecimal digits that change with the source of two packages.

    These are ``entrenous.watermark``, which marks pictures, aligns leaks and computes scores, and
    ``bench.attacks``.
    """
    folders = [Path(str(package.__file__)).parent for package in (watermark, attacks)]
    sources = sorted(file for folder in folders for file in folder.rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources))
    return digest.hexdigest()[:8]


@lru_cache(maxsize=1)
def _small() -> tuple[str, ...]:
    gone = missing((name, Size.XS) for name in BY_SIZE[Size.XS])
    return tuple(name for name in BY_SIZE[Size.XS] if f"{name} {Size.XS.value}" not in gone)


@lru_cache(maxsize=32)
def _scene(photo: str, seed: int) -> Scene:
    return scene(photo, Size.XS, seed)
