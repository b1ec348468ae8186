"""A real gate with a bank of many hashes, to which JPEGs are brought (:mod:`bench.load.uploads`).

The clock on the wall tells what a busy machine gave; the processor's time, of the gate with all its
children and of the load apart, what an idle one would.
"""

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from PIL import Image

from bench.load.cycles import percentile
from bench.load.uploads import Gate, Posted, drive, forms
from bench.photographs import PHOTOGRAPHS, Size
from bench.stopping.hashes import random_hashes
from bench.stopping.lookups import scratch
from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.index.tending import open_index
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Claim, ClaimState, Registration
from entrenous.model.ids import BankName, ClaimId

LINES: Final = 8  # as many as a gate judges at once
_PARTS: Final = 525  # of one registered picture, so that the second look has something to look in
_PER_CLAIM: Final = 10_000
_SIZE: Final = (1200, 834)  # one megapixel
_PICTURES: Final = 32
_SEEN: Final = ("astronaut", "coffee", "chelsea", "rocket")
_LISTED: Final = BankName("listed")
_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)


def posted(
    count: int, seconds: float, lines: int = LINES, judges: int | None = None
) -> Iterator[Posted]:
    """Uploads of a megapixel to a gate with ``count`` hashes, after some that warm it up: first
    without a hash of a part, then with those of one picture, so that the second look is made.
    """
    bodies = forms(pictures())
    with TemporaryDirectory(dir=scratch()) as made:
        fill(Path(made), count)
        options = () if judges is None else ("--judges", str(judges))
        yield _driven(Path(made), bodies, lines, seconds, options)
        fill_parts(Path(made))
        yield _driven(Path(made), bodies, lines, seconds, options)


def _driven(
    folder: Path, bodies: Sequence[bytes], lines: int, seconds: float, options: Sequence[str]
) -> Posted:
    """Once for a moment, so that what is loaded at first is not counted."""
    with gate(folder, *options) as running:
        drive(running, bodies, lines, min(3.0, seconds / 3))
        return drive(running, bodies, lines, seconds)


def fill(folder: Path, count: int) -> None:
    """A bank of ``count`` random hashes, and its index."""
    hashes = random_hashes(count, np.random.default_rng(7)).tobytes()
    engine = open_engine(folder / "bank.db")
    bank = SqlBankStore(engine)
    for name in (_LISTED, PEOPLE):
        bank.set_bank(Bank(name))
    step = 32 * _PER_CLAIM
    for start in range(0, len(hashes), step):
        some = _cut(hashes[start : start + step])
        bank.register(Registration(_claim(f"listed {start}", _LISTED), some))
    open_index(folder / "index", bank).close()
    engine.dispose()


def fill_parts(folder: Path) -> None:
    """And one picture with as many parts as there may be."""
    rng = np.random.default_rng(9)
    engine = open_engine(folder / "bank.db")
    parts = _cut(rng.bytes(32 * _PARTS))
    SqlBankStore(engine).register(Registration(_claim("hers", PEOPLE), (rng.bytes(32),), parts))
    engine.dispose()


def pictures() -> list[bytes]:
    """JPEGs of one megapixel: other parts of photographs, no two alike."""
    rng, made = np.random.default_rng(8), []
    photographs = [Image.fromarray(PHOTOGRAPHS[name].at(Size.S)) for name in _SEEN]
    for number in range(_PICTURES):
        source = photographs[number % len(photographs)]
        left, top = (int(rng.integers(0, side // 4)) for side in source.size)
        box = (left, top, left + source.width * 3 // 4, top + source.height * 3 // 4)
        file = io.BytesIO()
        source.resize(_SIZE, Image.Resampling.LANCZOS, box).save(file, "JPEG", quality=88)
        made.append(file.getvalue())
    return made


@contextmanager
def gate(folder: Path, *options: str) -> Iterator[Gate]:
    """``entrenous gate run`` in a process of its own; what it looks at after its answers is another
    one's work, at lowest priority, and left out.
    """
    command = [sys.executable, "-m", "entrenous", "gate", "run", "--json", "--no-slow-look"]
    command += ["--listen", "127.0.0.1:0", "--data", str(folder), *options]
    with subprocess.Popen(  # noqa: S603 -- this very program
        command, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            said = json.loads(running.stdout.readline() if running.stdout else "")
            yield Gate(running.pid, said["url"], said["operator_token"])
        finally:
            running.terminate()
            running.wait()


def _cut(hashes: bytes) -> tuple[bytes, ...]:
    return tuple(hashes[start : start + 32] for start in range(0, len(hashes), 32))


def _claim(name: str, bank: BankName) -> Claim:
    return Claim(ClaimId(name), bank, ClaimState.CONFIRMED, "pdq", 90, _AT)


def told(made: Posted) -> dict[str, float]:
    """The figures by their names."""
    count = max(1, made.count)
    return {
        "gate_post_per_s": made.count / made.seconds,
        "gate_p50_ms": 1e3 * percentile(made.times_s, 0.5) if made.times_s else 0.0,
        "gate_p99_ms": 1e3 * percentile(made.times_s, 0.99) if made.times_s else 0.0,
        "gate_cpu_ms": 1e3 * made.gate_cpu_s / count,
        "load_cpu_ms": 1e3 * made.load_cpu_s / count,
    }
