"""Measure uploads of JPEGs to a real gate with many hashes (:mod:`bench.load.uploads` sends them).

Times by the clock show what a busy machine achieved. Processor time, measured separately for the
gate with all its child processes and for the load, shows what an idle machine would achieve.
Without deferred scans ("slow looks"), processor time is that of the answers alone; with them, as by
default, it includes the work after the answers.
"""

import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple, Self

import numpy as np
from PIL import Image

from bench.load.cycles import percentile
from bench.load.uploads import Gate, Posted, drive, forms
from bench.photographs import PHOTOGRAPHS, Size
from bench.stopping.hashes import random_hashes
from bench.stopping.lookups import scratch_folder
from bench.stopping.pictures import large_pictures
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.index.maintenance import open_index
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine

CONNECTIONS: Final = 8  # as many uploads as a gate judges at once
_SLOW: Final = (
    "SELECT sum(slow_look IS NULL AND slow_looks_taken > 0), sum(slow_look = 'kept'),"
    " sum(slow_look IN ('due', 'skipped')) FROM upload"
)
_PARTS: Final = 525  # parts of one registered picture; without any, uploads' parts are not scanned
_PER_CLAIM: Final = 10_000
_SIZE: Final = (1200, 834)  # one megapixel
_PICTURES: Final = 32
_SEEN: Final = ("astronaut", "coffee", "chelsea", "rocket")
_LISTED: Final = BankName("listed")
_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)


class DeferredScanCounts(NamedTuple):
    """How many deferred scans of uploads were made, are waiting, or were skipped.

    A scan that was not made counts as waiting if the upload's bytes are stored for it, and
    otherwise as skipped, usually because there was no room for them.
    """

    made: int
    waiting: int
    skipped: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the counts from the database of the gate in ``folder``, which is not changed."""
        with closing(sqlite3.connect(f"file:{folder / 'bank.db'}?mode=ro", uri=True)) as bank:
            return cls(*(int(count or 0) for count in bank.execute(_SLOW).fetchone()))

    def __sub__(self, before: Self) -> Self:
        """Return the scans made and skipped since ``before``, and how many wait now."""
        made, skipped = self.made - before.made, self.skipped - before.skipped
        return type(self)(made, self.waiting, skipped)

    def figures(self, uploads: int) -> dict[str, float]:
        """Return the counts by name, and the share of ``uploads`` whose scan was made."""
        share = self.made / max(1, uploads)
        return {**self._asdict(), "share_made": share}


class Load(NamedTuple):
    """The measurements of one gate; the names of their figures begin with ``name``.

    ``many`` is from several connections at once, ``alone`` (by size) from one at a time. ``scans``
    is None without deferred scans.
    """

    name: str
    many: Posted
    scans: DeferredScanCounts | None
    alone: Mapping[str, Posted]

    def figures(self) -> dict[str, float]:
        """Return all figures by name."""
        figures = figures_of(self.many)
        for size, one in self.alone.items():
            figures |= {
                f"gate_alone_{size}_p50_ms": _ms(one, 0.5),
                f"gate_alone_{size}_p95_ms": _ms(one, 0.95),
            }
        scans = {} if self.scans is None else self.scans.figures(self.many.count)
        return {f"{self.name}{name}": value for name, value in {**figures, **scans}.items()}


class LoadSettings(NamedTuple):
    """How a gate is loaded: with several uploads at once for ``seconds``, then with single ones.

    ``connections`` is the number of uploads at once. For each size, single uploads are sent for
    half of ``seconds``. ``judges`` is the number of the gate's judge processes; None leaves the
    default.
    """

    hashes: int
    seconds: float
    connections: int = CONNECTIONS
    judges: int | None = None
    parts: bool = True


def measure_gate(settings: LoadSettings) -> Iterator[Load]:
    """Load a gate with uploads of a megapixel, and yield the measurements of each run.

    The first run is without deferred scans, the second with them; both end with single uploads, of
    one and of twelve megapixels. If ``settings.parts`` is set, there is a third run without
    deferred scans, in which the bank also has hashes of one picture's parts, so that the gate
    looks for parts too. Each run starts with some uploads that are not counted.
    """
    bodies = forms(pictures())
    alone = {"1mp": bodies, "12mp": forms(large_pictures())}
    with TemporaryDirectory(dir=scratch_folder()) as made:
        fill(Path(made), settings.hashes)
        yield _driven("", Path(made), bodies, settings, alone)
        yield _driven("with_slow_looks_", Path(made), bodies, settings, alone, slow_look=True)
        if settings.parts:
            fill_parts(Path(made))
            yield _driven("parts_", Path(made), bodies, settings, {})


def _driven(  # noqa: PLR0913 -- together they describe one load
    name: str,
    folder: Path,
    bodies: Sequence[bytes],
    settings: LoadSettings,
    alone: Mapping[str, Sequence[bytes]],
    *,
    slow_look: bool = False,
) -> Load:
    """Start a gate and load it; the first seconds, up to 3, are not counted."""
    options = () if settings.judges is None else ("--judges", str(settings.judges))
    with gate(folder, *options, slow_look=slow_look) as running:
        drive(running, bodies, settings.connections, min(3.0, settings.seconds / 3))
        before = DeferredScanCounts.of(folder)
        many = drive(running, bodies, settings.connections, settings.seconds)
        scans = DeferredScanCounts.of(folder) - before if slow_look else None
        ones = {size: drive(running, some, 1, settings.seconds / 2) for size, some in alone.items()}
    return Load(name, many, scans, ones)


def fill(folder: Path, count: int) -> None:
    """Make a bank of ``count`` random hashes in ``folder``, and its index."""
    hashes = random_hashes(count, np.random.default_rng(7)).tobytes()
    engine = open_engine(folder / "bank.db")
    bank = BankStore(engine)
    for name in (_LISTED, PEOPLE_BANK):
        bank.set_bank(Bank(name))
    step = 32 * _PER_CLAIM
    for start in range(0, len(hashes), step):
        some = _cut(hashes[start : start + step])
        bank.register(Registration(_claim(f"listed {start}", _LISTED), some))
    open_index(folder / "index", bank).close()
    engine.dispose()


def fill_parts(folder: Path) -> None:
    """Add one picture to the bank, with as many parts as a device sends at most."""
    rng = np.random.default_rng(9)
    engine = open_engine(folder / "bank.db")
    parts = _cut(rng.bytes(32 * _PARTS))
    BankStore(engine).register(Registration(_claim("hers", PEOPLE_BANK), (rng.bytes(32),), parts))
    engine.dispose()


def pictures() -> list[bytes]:
    """Return 32 JPEGs of one megapixel: random crops of four photographs, no two alike."""
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
def gate(folder: Path, *options: str, slow_look: bool = False) -> Iterator[Gate]:
    """Run ``entrenous gate run`` in a process of its own, on a free port of 127.0.0.1.

    With ``slow_look``, it makes deferred scans after its answers, in other processes of the lowest
    priority. ``options`` are more arguments of the command.
    """
    command = [sys.executable, "-m", "entrenous", "gate", "run", "--json"]
    command += [] if slow_look else ["--no-slow-look"]
    command += ["--listen", "127.0.0.1:0", "--data", str(folder), *options]
    with subprocess.Popen(  # noqa: S603 -- this very program
        command, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            said = json.loads(running.stdout.readline() if running.stdout else "")
            yield Gate(running.pid, said["url"], Path(said["operator_token_file"]).read_text())
        finally:
            running.terminate()
            running.wait()


def _cut(hashes: bytes) -> tuple[bytes, ...]:
    return tuple(hashes[start : start + 32] for start in range(0, len(hashes), 32))


def _claim(name: str, bank: BankName) -> Claim:
    return Claim(ClaimId(name), bank, ClaimState.CONFIRMED, "pdq", 90, _AT)


def figures_of(made: Posted) -> dict[str, float]:
    """Return the figures of one load by name; processor times are per upload."""
    count = max(1, made.count)
    return {
        "gate_post_per_s": made.count / made.seconds,
        "gate_p50_ms": _ms(made, 0.5),
        "gate_p95_ms": _ms(made, 0.95),
        "gate_p99_ms": _ms(made, 0.99),
        "gate_cpu_ms": 1e3 * made.gate_cpu_s / count,
        "load_cpu_ms": 1e3 * made.load_cpu_s / count,
    }


def _ms(made: Posted, part: float) -> float:
    return 1e3 * percentile(made.times_s, part) if made.times_s else 0.0
