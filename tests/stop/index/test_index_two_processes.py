"""A changed bank in PostgreSQL is seen by the next look-up of another process."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_postgres_engine
from tests.postgres import Cluster
from tests.ready import start_program
from tests.stop.index.index_banks import random_hashes, register_claim

pytestmark = pytest.mark.real

CLAIM_COUNT = 20
MEDIAN_DURATION_S_MAX = 1.0  # Single durations may be longer on a busy machine.


@contextmanager
def start_query_process(folder: Path, url: str) -> Iterator[Callable[[bytes], int]]:
    command = [sys.executable, "-m", "tests.stop.index.query_process", str(folder), url]
    with start_program(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        output, queries = process.stdout, process.stdin
        assert output.readline() == "ready\n"

        def count_claims(bits: bytes) -> int:
            queries.write(bits.hex() + "\n")
            queries.flush()
            return int(output.readline())

        yield count_claims
        queries.close()


def test_next_look_up_of_another_process_sees_the_change(tmp_path: Path, postgres: Cluster) -> None:
    """The median time for a change and the next look-up together is at most one second."""
    url = postgres.create_database()
    engine = open_postgres_engine(url)
    bank = BankStore(engine)
    register_claim(bank, "before", *random_hashes(50, 1))
    own_index = FileIndex(tmp_path / "own", bank)
    durations_s: list[float] = []
    with start_query_process(tmp_path / "other", url) as count_claims:
        for number, bits in enumerate(random_hashes(CLAIM_COUNT, 2)):
            assert count_claims(bits) == 0
            began = time.perf_counter()
            claim = register_claim(bank, f"claim-{number}", bits)
            assert count_claims(bits) == 1
            added = time.perf_counter()
            bank.apply_event(claim, ClaimEvent.WITHDRAW)
            assert count_claims(bits) == 0
            durations_s += [added - began, time.perf_counter() - added]
            near = {one.entry for one in own_index.find_near_hashes([bits], part=False)}
            assert bank.claims_on_pictures(near) == ()
    engine.dispose()
    assert median(durations_s) <= MEDIAN_DURATION_S_MAX
