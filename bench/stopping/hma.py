"""Compare uploads of a megapixel to our gate and to Meta's Hasher-Matcher-Actioner, in turns.

    python -m bench.stopping.hma --tree DIR --database postgresql://user@/empty?host=...

For what DIR has to contain, see bench/stopping/hma_server.py. Use the database for nothing else:
this benchmark makes tables and a bank of random hashes in it, and uses them again in the next run.
Both sides have the same hashes, and keep running. In each round, uploads go to our gate, to HMA, to
our gate by its HMA-compatible path, and to a gate of ours that also makes deferred scans after its
answers, as by default (`gate_with_slow_looks_...`; the other gate makes none). That gate runs only
for its turn, so that its remaining scans do not slow the others. Our gate looks up eight
orientations, also inverted and without borders; HMA looks up one hash. Our gate stores its
decision, except about uploads by the HMA-compatible path. Memory that processes share is counted
once. For the time from a new hash to its match, HMA is told to build its index at once instead of
at the next minute. The last line is one JSON object.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as entrenous does before it imports NumPy

import httpx
import numpy as np
import psycopg

from bench.load.cycles import percentile
from bench.load.uploads import Gate, Posted, drive, forms
from bench.stopping import gates
from bench.stopping.hashes import random_hashes
from bench.stopping.hma_server import Hma
from bench.stopping.lookups import scratch_folder

_BANK: Final = "LISTED"
_SLOW: Final = "gate_with_slow_looks"
_CONSECUTIVE_SUCCESSES: Final = 32  # after so many look-ups in a row, every worker has a hash
Answer = dict[str, object]


@dataclass(frozen=True, slots=True)
class Side:
    """A server to measure: its address, its uploads, and the prefix of the paths of HMA's API."""

    gate: Gate
    bodies: list[bytes]
    paths: str

    def ask(self, method: str, path: str, **what: dict[str, str]) -> httpx.Response:
        """Send a request of HMA's API."""
        headers = {"Authorization": f"Bearer {self.gate.token}"}
        url = self.gate.url + self.paths + path
        return httpx.request(method, url, headers=headers, timeout=60, **what)  # type: ignore[arg-type]

    def finds(self, signal: bytes) -> bool:
        """Return whether this hash matches; False on errors, as while HMA loads an index."""
        query = {"signal": signal.hex(), "signal_type": "pdq"}
        answer = self.ask("GET", "/m/lookup", params=query)
        return answer.is_success and bool(answer.json().get(_BANK))

    def added_s(self, indexed: Callable[[], None]) -> float:
        """Add a hash, call ``indexed``, and return the seconds until every worker finds it."""
        bits, good = os.urandom(32), 0
        began = since = time.perf_counter()
        self.ask("POST", f"/c/bank/{_BANK}/signal", json={"pdq": bits.hex()}).raise_for_status()
        indexed()
        while good < _CONSECUTIVE_SUCCESSES:
            since = since if good else time.perf_counter()
            good = good + 1 if self.finds(bits) else 0
        return since - began


def main() -> None:
    """Measure both sides, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--python", type=Path, help="TREE/venv/bin/python if not given")
    parser.add_argument("--database", required=True)
    parser.add_argument("--threads", type=int, default=1, help="of each worker; HMA's image has 1")
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    asked = parser.parse_args()
    with TemporaryDirectory(dir=scratch_folder()) as made:
        ours, theirs = Path(made).absolute() / "gate", Path(made).absolute() / "hma"
        theirs.mkdir()
        ours.mkdir()
        hma = Hma(
            asked.tree, asked.python or asked.tree / "venv/bin/python", asked.database, theirs
        )
        if why := hma.missing():
            raise SystemExit(f"SKIPPED: {why}")
        hashes = random_hashes(asked.hashes, np.random.default_rng(7)).tobytes()
        answer: Answer = {"schema": "entrenous/bench-hma/1", "hashes": asked.hashes}
        answer |= {"hma_threads": asked.threads, "hma_build_s": prepare(hma, hashes)}
        gates.fill(ours, asked.hashes)
        slow = shutil.copytree(ours, ours.with_name("slow"))
        more = ("--threads", str(asked.threads)) if asked.threads > 1 else ()
        with gates.gate(ours) as gate, hma.running(2, *more) as (process, url):
            server = Gate(process, url, "nobody", "/m/lookup", b'"pdq":', _server(hma.database))
            answer |= measured(gate, server, slow, hashes[:32], Turns(asked.rounds, asked.seconds))
            index = lambda: hma.flask("build_indices")  # noqa: E731
            answer["hma_add_to_match_s"] = round(Side(server, [], "").added_s(index), 1)
        say(json.dumps(answer | {"load_average": round(os.getloadavg()[0], 1)}))


def prepare(hma: Hma, hashes: bytes) -> float:
    """Make HMA's tables, a bank of these hashes, and its index; return the index's build time in s.

    The hashes are written to the database, since HMA's API adds them one by one.
    """
    hma.migrate()
    count = len(hashes) // 32
    with psycopg.connect(hma.database) as there:
        there.execute("INSERT INTO bank VALUES (1, %s, 1) ON CONFLICT DO NOTHING", [_BANK])
        if not there.execute("SELECT 1 FROM bank_content LIMIT 1").fetchone():
            with there.cursor().copy(
                "COPY bank_content (bank_id, disable_until_ts) FROM STDIN"
            ) as to:
                to.write("1\t1\n" * count)
            with there.cursor().copy(
                "COPY content_signal (content_id, signal_type, signal_val) FROM STDIN"
            ) as to:
                for number in range(count):
                    signal = hashes[32 * number : 32 * number + 32].hex()
                    to.write_row((number + 1, "pdq", signal))
    began = time.perf_counter()
    hma.flask("build_indices")
    return round(time.perf_counter() - began, 1)


class Turns(NamedTuple):
    """How many rounds follow a first one that is not counted, and the seconds of each load."""

    rounds: int
    seconds: float


def measured(ours: Gate, theirs: Gate, slow: Path, one: bytes, turns: Turns) -> Answer:
    """Return each round's uploads a second, medians of all figures, and ratios of ours to HMA's.

    ``slow`` is the folder of the gate that makes deferred scans; ``one`` is a registered hash.

    Raises:
        SystemExit: a side does not find ``one``.
    """
    pictures = gates.pictures()
    photos = forms(pictures, "photo")
    as_hma = ours._replace(path="/hma/m/lookup", good=b'"pdq":')
    sides = {
        "gate": Side(ours, forms(pictures), "/hma"),
        "hma": Side(theirs, photos, ""),
        "gate_as_hma": Side(as_hma, photos, "/hma"),
    }
    figures = dict[str, list[float]]()
    for number in range(turns.rounds + 1):  # the first one is not counted
        seconds = turns.seconds if number else min(5.0, turns.seconds)
        for name, side in sides.items():
            if not side.finds(one):
                raise SystemExit(f"{name} does not find a hash that it has")
            load_figures = figures_of(drive(side.gate, side.bodies, gates.CONNECTIONS, seconds))
            _note(figures, name, load_figures, number)
        _note(figures, _SLOW, with_slow_looks(slow, sides["gate"].bodies, seconds), number)
    for name in ("gate", "gate_as_hma", _SLOW):
        pairs = zip(figures[f"{name}_post_per_s"], figures["hma_post_per_s"], strict=True)
        figures[f"{name}_ratio"] = [round(mine / other, 2) for mine, other in pairs]
    return {
        **{name: round(median(values), 2) for name, values in figures.items()},
        "rounds": {name: figures[name] for name in figures if name.endswith(("_per_s", "_ratio"))},
        "gate_memory_mb": round(memory_mb(ours.process)),
        "hma_memory_mb": round(memory_mb(theirs.process)),
        "hma_database_memory_mb": round(sum(map(memory_mb, theirs.beside))),
        "gate_add_to_match_ms": round(1e3 * sides["gate"].added_s(lambda: None), 1),
    }


def with_slow_looks(folder: Path, bodies: list[bytes], seconds: float) -> dict[str, float]:
    """Load a gate that makes deferred scans for one turn; return its figures and its scans' counts.

    Uploads that waited for a scan when the gate's previous turn ended still wait.
    """
    with gates.gate(folder, slow_look=True) as running:
        drive(running, bodies, gates.CONNECTIONS, min(3.0, seconds / 3))
        before = gates.DeferredScanCounts.of(folder)
        made = drive(running, bodies, gates.CONNECTIONS, seconds)
        scans = (gates.DeferredScanCounts.of(folder) - before).figures(made.count)
    return figures_of(made) | {name: round(value, 3) for name, value in scans.items()}


def _note(
    figures: dict[str, list[float]], name: str, load_figures: dict[str, float], number: int
) -> None:
    say(f"{number} {name} {load_figures} load average {os.getloadavg()[0]:.1f}")
    for key, value in load_figures.items() if number else ():
        figures.setdefault(f"{name}_{key}", []).append(value)


def figures_of(made: Posted) -> dict[str, float]:
    """Return the figures of one load by name; processor times are per upload."""
    return {
        "post_per_s": round(made.count / made.seconds, 1),
        "p50_ms": round(1e3 * percentile(made.times_s, 0.5), 1),
        "p99_ms": round(1e3 * percentile(made.times_s, 0.99), 1),
        "cpu_ms": round(1e3 * made.gate_cpu_s / made.count, 2),
        "database_cpu_ms": round(1e3 * made.beside_cpu_s / made.count, 2),
        "load_cpu_ms": round(1e3 * made.load_cpu_s / made.count, 2),
    }


def memory_mb(process: int) -> float:
    """Return the memory of a process and its children in MiB (Pss, see proc_pid_smaps(5))."""
    own = 0.0
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            own += int(line.split()[1]) / 1024 if line.startswith("Pss:") else 0
        for task in Path(f"/proc/{process}/task").iterdir():
            own += sum(memory_mb(int(one)) for one in (task / "children").read_text().split())
    return own


def _server(database: str) -> tuple[int, ...]:
    """Return the database server's process if it is on this machine; its cost counts as HMA's."""
    with psycopg.connect(database) as there, suppress(FileNotFoundError):
        said = Path(f"/proc/{there.info.backend_pid}/stat").read_text()
        return (int(said.rpartition(")")[2].split()[1]),)
    return ()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
