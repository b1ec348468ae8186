"""Kill a process repeatedly while it registers, withdraws and merges; check the index each time.

    python -m tests.stop.index.index_kills --kills 50 [--seed 1] [--shards 4]

Each time, a worker process opens the bank and the index, and works until it is killed (SIGKILL) at
a random time. Then the index is opened again. The results must equal those of brute force over the
bank: they include every claim that was reported and not withdrawn. No partly written file may be
left. After a rebuild, no file of the index may contain the first hash of a claim that was reported
as withdrawn.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from entrenous.base.identifiers import ClaimId
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from tests.ready import start_program
from tests.stop.index.index_banks import (
    assert_index_equals_brute_force,
    random_hashes,
    register_claim,
)

INITIAL_HASH_COUNT = 10_500  # enough for the index to build tables
HASHES_PER_CLAIM = 20


@dataclass
class ReportedChanges:
    """Changes that the bank acknowledged and the workers printed."""

    registered: dict[str, bytes] = field(default_factory=dict)
    withdrawn: dict[str, bytes] = field(default_factory=dict)

    def record_line(self, line: str) -> None:
        """Record one line that a worker printed."""
        match line.split():
            case ["registered", name, bits]:
                self.registered[name] = bytes.fromhex(bits)
            case ["withdrawn", name]:
                self.withdrawn[name] = self.registered.pop(name)
            case _:
                pass


@contextmanager
def open_bank_in(folder: Path) -> Iterator[BankStore]:
    """Yield the bank in this folder and close it at the end."""
    engine = open_engine(folder / "bank.db")
    try:
        yield BankStore(engine)
    finally:
        engine.dispose()


def run_worker(folder: Path, seed: int, shard_count: int) -> None:
    """Register and withdraw claims, and merge or rebuild the index, until the process is killed."""
    rng = np.random.default_rng([seed, 1])  # differs from the seed in run_kills
    claims: list[ClaimId] = []
    with open_bank_in(folder) as bank:
        index = FileIndex(folder / "index", bank, shard_count)
        print("ready", flush=True)  # noqa: T201 -- read by kill_once
        while True:
            name = f"claim-{seed}-{len(claims)}-{rng.integers(0, 1 << 30)}"
            hashes = [rng.bytes(32) for _ in range(HASHES_PER_CLAIM)]
            claims.append(register_claim(bank, name, *hashes))
            print("registered", name, hashes[0].hex(), flush=True)  # noqa: T201 -- read by kill_once
            if rng.random() < 0.3:
                withdrawn = claims.pop(int(rng.integers(0, len(claims))))
                bank.apply_event(withdrawn, ClaimEvent.WITHDRAW)
                print("withdrawn", withdrawn, flush=True)  # noqa: T201 -- read by kill_once
                index.rebuild()
            else:
                index.merge()


def kill_once(folder: Path, seed: int, reported: ReportedChanges, shard_count: int) -> None:
    """Start a worker, kill it while it works, and record the changes that it printed."""
    rng = np.random.default_rng(seed)
    command = [sys.executable, "-m", "tests.stop.index.index_kills", "--work", str(folder)]
    options = ["--seed", str(seed), "--shards", str(shard_count)]
    with start_program([*command, *options], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        try:
            worker.wait(float(rng.uniform(0.0, 0.5)))
        except subprocess.TimeoutExpired:
            worker.kill()
        for line in worker.stdout.read().decode().splitlines(keepends=True):
            if line.endswith("\n"):
                reported.record_line(line)


def check_after_kill(folder: Path, seed: int, reported: ReportedChanges, shard_count: int) -> None:
    """Check the index as the module docstring describes."""
    with open_bank_in(folder) as bank:
        index = FileIndex(folder / "index", bank, shard_count)
        assert not list((folder / "index").glob(".entrenous-*"))
        assert_index_equals_brute_force(index, bank, seed, query_count=40)
        for name, bits in reported.registered.items():
            near = index.find_near_hashes([bits], part=False)
            claims = bank.claims_on_pictures({one.entry for one in near})
            # The worker may have withdrawn the claim and been killed before it printed this.
            assert name in {claim.id for _, claim in claims} or _is_withdrawn(bank, name)
        if index.has_withdrawn_hashes():
            index.rebuild()
        left = b"".join(path.read_bytes() for path in (folder / "index").iterdir())
        for bits in reported.withdrawn.values():
            assert index.find_near_hashes([bits], part=False) == []
            assert bits not in left


def _is_withdrawn(bank: BankStore, claim_id: str) -> bool:
    return bank.claim(ClaimId(claim_id)).state.value == "withdrawn"


def run_kills(folder: Path, kill_count: int, seed: int, shard_count: int = 1) -> ReportedChanges:
    """Kill ``kill_count`` workers, check the index after each, and return what they reported."""
    reported = ReportedChanges()
    with open_bank_in(folder) as bank:
        register_claim(bank, "beginning", *random_hashes(INITIAL_HASH_COUNT, seed))
    for kill in range(kill_count):
        kill_once(folder, seed + kill, reported, shard_count)
        check_after_kill(folder, seed + kill, reported, shard_count)
    return reported


def main() -> None:
    """Kill workers, or run as a worker if ``--work`` is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        run_worker(arguments.work, arguments.seed, arguments.shards)
    with TemporaryDirectory() as folder:
        reported = run_kills(Path(folder), arguments.kills, arguments.seed, arguments.shards)
    print(  # noqa: T201 -- a command
        f"{arguments.kills} kills: {len(reported.registered)} claims found, "
        f"{len(reported.withdrawn)} withdrawn and gone"
    )


if __name__ == "__main__":
    main()
