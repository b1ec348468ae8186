"""Measure how much a relay carries, compared with ejabberd and the bare disk in the same run.

    python -m bench.relay              three rounds, 2 GB of blob: some minutes
    python -m bench.relay --quick      three short rounds, no 2 GB: under a minute
    python -m bench.relay --database postgresql://...    also two relays on one PostgreSQL
    python -m bench.relay --database postgresql://... --relays 1 2 4    1, 2 and 4 of them in turn

In a durable cycle, a letter of 4 KB is accepted durably, fetched and deleted. There are 64
connections, and the load runs on the same cores as the relay. The relay and ejabberd are driven in
the same way: by one process with plain sockets, for the same time, with the same number of
connections and of requests in a cycle. The processor time of either load is given beside the ratio.
The figures of a round are measured one after the other, and the medians of all rounds are given.
``group_commit`` is the rate of the relay's own group commit and rules, without HTTP, in one
process. ``limit`` is the rate at which SQLite itself inserts and deletes rows on this disk, without
any rules; it syncs as many rows together as the relay syncs requests. For ``limit_64``, it syncs 64
rows together. On a disk where a sync costs almost nothing, both show only how fast SQLite's code
is. The last line is one JSON object.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.load import ejabberd
from bench.load.bare import bare_cycles_per_s, disk_scan_mb_s
from bench.load.blobs import blob_speed, peak_resident_mb
from bench.load.cycles import Cycles, drive, percentile
from bench.load.in_process import group_commit_cycles_per_s
from bench.load.processor import cpu_s

_CONNECTIONS: Final = 64
#: The number of requests that the relay syncs together under this load: ``perf stat -e
#: syscalls:sys_enter_fdatasync`` counts one sync for 14 cycles, each with two requests that write.
_GROUP: Final = 28
_GB2: Final = 2 << 30
_BLOB: Final = 256 << 20


class Running(NamedTuple):
    """The process id and URL of a running relay."""

    process: int
    url: str


class Round(NamedTuple):
    """The figures of one round; ``peer`` is None if ejabberd is not installed."""

    relay: Cycles
    cpu_us: float
    group_commit: float
    limit: float
    limit_64: float
    peer: Cycles | None
    postgres: dict[int, float]  # cycles per second, by the number of relays on one database
    up_mb_s: float
    down_mb_s: float
    scan_mb_s: float


def _scratch() -> Path:
    """Return a folder on the disk of the working directory.

    The system's folder for temporary files may be in memory.
    """
    folder = Path("bench-out")
    folder.mkdir(exist_ok=True)
    return folder


def main() -> None:
    """Measure, and print a line for each round, then the JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", help="a new PostgreSQL database, for more relays")
    parser.add_argument("--relays", type=int, nargs="+", default=[2], help="how many of them")
    options = parser.parse_args()
    seconds = 3.0 if options.quick else 10.0
    rounds = []
    for _ in range(options.rounds):
        rounds.append(one_round(seconds, options.database, options.relays))
        print(_summary(rounds[-1]), flush=True)  # noqa: T201
    print(json.dumps(_answer(rounds, None if options.quick else rss_of_two_gb())))  # noqa: T201


def one_round(seconds: float, database: str | None, relays: Sequence[int] = (2,)) -> Round:
    """Measure, in this order: relay, blobs, bare loops, disk, peer, PostgreSQL."""
    with tempfile.TemporaryDirectory(dir=_scratch()) as made:
        folder = Path(made)
        with relay(folder / "relay") as own:
            before = cpu_s(own.process)
            cycles = drive([own.url], _CONNECTIONS, seconds)
            cpu_us = 1e6 * (cpu_s(own.process) - before) / max(1, cycles.count)
            up, down = blob_speed(own.url, _BLOB)
        bare = group_commit_cycles_per_s(folder, _CONNECTIONS, seconds)
        limit = bare_cycles_per_s(folder, seconds / 2, _GROUP)
        limit_64 = bare_cycles_per_s(folder, seconds / 2, 64)
        scan = disk_scan_mb_s(folder)
        peer = _peer(folder, seconds) if ejabberd.version() else None
        other = {
            many: _side_by_side(folder, database, seconds, many) for many in relays if database
        }
    return Round(cycles, cpu_us, bare, limit, limit_64, peer, other, up, down, scan)


@contextmanager
def relay(folder: Path, database: str | None = None) -> Iterator[Running]:
    """Run a relay in a process of its own."""
    settings = folder.with_suffix(".toml")
    lines = [f'data = "{folder}"', 'listen = "127.0.0.1:0"', "free_mb_min = 0"]
    settings.write_text("\n".join([*lines, *([f'database = "{database}"'] if database else [])]))
    command = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--settings"]
    with subprocess.Popen(  # noqa: S603 -- this very program
        [*command, settings], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            first_line = running.stdout.readline() if running.stdout else ""
            yield Running(running.pid, json.loads(first_line)["url"])
        finally:
            running.terminate()
            running.wait()


def rss_of_two_gb() -> float:
    """Return the most memory that a relay takes while a blob of 2 GB passes through it, in MB."""
    with tempfile.TemporaryDirectory(dir=_scratch()) as made, relay(Path(made) / "relay") as own:
        blob_speed(own.url, _GB2)
        return peak_resident_mb(own.process)


def _peer(folder: Path, seconds: float) -> Cycles:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ejabberd.ejabberd(folder, port):
        return ejabberd.drive(port, _CONNECTIONS, seconds)


def _side_by_side(folder: Path, database: str, seconds: float, many: int) -> float:
    """Return the cycles per second of ``many`` relays on one PostgreSQL database."""
    with ExitStack() as every:
        urls = [
            every.enter_context(relay(folder / f"{many}-{number}", database)).url
            for number in range(many)
        ]
        made = drive(urls, _CONNECTIONS, seconds)
    return _speed(made)


def _summary(one: Round) -> str:
    cycles = one.relay
    return (
        f"{_speed(cycles):,.0f} cycles/s, p99 "
        f"{1000 * percentile(cycles.times_s, 0.99):.0f} ms, {one.cpu_us:.0f} us of processor each; "
        f"load {_load_us(cycles):.0f} us; "
        f"bare of HTTP {one.group_commit:,.0f}/s; SQLite {one.limit:,.0f}/s, "
        f"by 64 {one.limit_64:,.0f}/s; {_peer_summary(one.peer)}; "
        f"PostgreSQL {', '.join(f'{many}: {s:,.0f}/s' for many, s in one.postgres.items())}; "
        f"blobs {one.up_mb_s:.0f} up, {one.down_mb_s:.0f} down MB/s; disk {one.scan_mb_s:.0f} MB/s"
    )


def _peer_summary(peer: Cycles | None) -> str:
    if peer is None:
        return "no peer"
    return f"peer {_speed(peer):,.0f}/s, load {_load_us(peer):.0f} us"


def _speed(made: Cycles) -> float:
    return made.count / made.seconds


def _load_us(made: Cycles) -> float:
    return 1e6 * made.cpu_s / made.count


def _answer(rounds: list[Round], rss_mb: float | None) -> dict[str, object]:
    speeds = [_speed(one.relay) for one in rounds]
    peers = [one.peer for one in rounds if one.peer]
    sides = {many: [one.postgres[many] for one in rounds] for many in rounds[0].postgres}
    ratios = [_speed(one.relay) / _speed(one.peer) for one in rounds if one.peer]
    return {
        "schema": "entrenous/bench-relay/1",
        "rounds": len(rounds),
        "durable_cycles_per_s": round(median(speeds)),
        "p50_ms": _ms(rounds, 0.5),
        "p99_ms": _ms(rounds, 0.99),
        "cpu_us_per_cycle": round(median(one.cpu_us for one in rounds)),
        "load_cpu_us_per_cycle": round(median(_load_us(one.relay) for one in rounds)),
        "peer": ejabberd.version(),
        "peer_cycles_per_s": round(median(map(_speed, peers))) if peers else None,
        "peer_load_cpu_us_per_cycle": round(median(map(_load_us, peers))) if peers else None,
        "ratio": round(median(ratios), 2) if ratios else None,
        "group_commit_cycles_per_s": round(median(one.group_commit for one in rounds)),
        "of_group_commit": round(
            median(speed / one.group_commit for speed, one in zip(speeds, rounds, strict=True)), 2
        ),
        "limit_cycles_per_s": round(median(one.limit for one in rounds)),
        "of_limit": round(
            median(speed / one.limit for speed, one in zip(speeds, rounds, strict=True)), 2
        ),
        "limit_64_cycles_per_s": round(median(one.limit_64 for one in rounds)),
        "postgresql_cycles_per_s": round(median(sides[2])) if 2 in sides else None,
        "postgresql_of_sqlite": round(
            median(side / speed for side, speed in zip(sides[2], speeds, strict=True)), 2
        )
        if 2 in sides
        else None,
        "postgresql_by_relays": {many: round(median(side)) for many, side in sides.items()},
        "blob_up_mb_s": round(median(one.up_mb_s for one in rounds)),
        "blob_down_mb_s": round(median(one.down_mb_s for one in rounds)),
        "rss_mb_2gb": None if rss_mb is None else round(rss_mb),
        "scan_of_disk_mb_s": round(median(one.scan_mb_s for one in rounds)),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _ms(rounds: list[Round], part: float) -> float:
    return round(median(1000 * percentile(one.relay.times_s, part) for one in rounds), 1)


if __name__ == "__main__":
    main()
