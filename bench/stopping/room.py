"""Measure the space and time that a gate needs apart from requests, for docs/operate.md.

    python -m bench.stopping.room            a million hashes for the index
    python -m bench.stopping.room --hashes N --database postgresql://...

It measures the bytes that a claim and an upload take in the database (SQLite, or an empty
PostgreSQL); the memory and time to make the index in 1, 2 and 4 shards, and the time of a look-up
in the index; and the time of a deferred scan. All times are processor times. The last line is one
JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, cast

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import cv2
import numpy as np
import sqlalchemy as sa

from bench.stopping.lookups import BATCH, scratch_folder
from entrenous.base.identifiers import ClaimId
from entrenous.media.picture_reader import read_picture
from entrenous.stop.index.base_file import Shard, build_from_bank, write_base
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.judge.deferred_scan import views_for_deferred_scan
from entrenous.stop.nouns import PEOPLE_BANK, Bank, BankCounts, HashEntry
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine, open_postgres_engine, overwrite_deleted_data
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState

_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)
_PAGE: Final = 100_000
_CLAIMS: Final = 2_000
_CLAIMS_WITH_WINDOWS: Final = 20
_UPLOADS: Final = 2_000
_WINDOWS: Final = 500
_SHARDS: Final = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class RandomBank:
    """A bank of random hashes that are generated on request, so that it takes no memory itself."""

    count: int

    def entries(self, after: int) -> tuple[HashEntry, ...]:
        """Return the page of entries after this number; the same number gives the same page."""
        size = min(_PAGE, self.count - after)
        data = np.random.default_rng(after).bytes(32 * size)
        return tuple(
            HashEntry(after + row + 1, data[32 * row : 32 * row + 32], part=False)
            for row in range(size)
        )

    def count_claims_and_hashes(self) -> BankCounts:
        return BankCounts(self.count, self.count)


def measure_index(count: int, shards: int) -> dict[str, float]:
    """Build an index of ``count`` random hashes in this process, and measure it.

    Return its size, the peak memory beyond the process's earlier peak, and processor times.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        bank = cast("BankStore", RandomBank(count))
        began = time.process_time()
        for shard in Shard.all_shards(shards):
            write_base(Path(folder) / shard.file_name, *build_from_bank(bank, shard), shard)
        took = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # before files are mapped
        index = FileIndex(Path(folder), bank, shards)
        rng = np.random.default_rng(9)
        wanted = [[rng.bytes(32) for _ in range(BATCH)] for _ in range(40)]
        size = index.counts().base_bytes
        batch_ms = 1e3 * _median(
            lambda turn: index.find_near_hashes(wanted[turn % 40], part=False), 120
        )
    return {
        "bytes_a_hash": round(size / count, 1),
        "build_peak_bytes_a_hash": round(1024 * (peak - before) / count, 1),
        "build_s_a_million": round(1e6 * took / count, 2),
        "eight_lookups_ms": round(batch_ms, 2),
    }


def measure_database(url: str | None) -> dict[str, float]:
    """Return the bytes that a claim and an upload take in the database, and a query's milliseconds.

    The query asks for new entries. Its time is the processor time of this process; that of a
    database server is not included.
    """
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        engine = open_postgres_engine(url) if url else open_engine(Path(folder) / "bank.db")
        bank, reviews = BankStore(engine), ReviewQueue(engine)
        bank.set_bank(Bank(PEOPLE_BANK))
        sizes = [_size(engine)]
        bank.register(*(_claim(number, 0) for number in range(_CLAIMS)))
        sizes.append(_size(engine))
        bank.register(
            *(_claim(_CLAIMS + number, _WINDOWS) for number in range(_CLAIMS_WITH_WINDOWS))
        )
        sizes.append(_size(engine))
        for number in range(_UPLOADS):
            reviews.record_upload(_upload(number), None)
        sizes.append(_size(engine))
        last = _CLAIMS + _CLAIMS_WITH_WINDOWS * (_WINDOWS + 1)
        news_ms = 1e3 * _median(lambda _: bank.entries(last), 200)
        engine.dispose()
    plain, windows, uploads = (after - before for before, after in pairwise(sizes))
    return {
        "claim_bytes": round(plain / _CLAIMS),
        "claim_with_windows_bytes": round(windows / _CLAIMS_WITH_WINDOWS),
        "upload_bytes": round(uploads / _UPLOADS),
        "news_ms": round(news_ms, 3),
    }


def slow_look() -> dict[str, float]:
    """Measure the deferred scan of one photograph, in which every view of it is looked up.

    The result has the processor seconds that making the views takes, and the number of views. Both
    are given for a bank without hashes of parts and for a bank with such hashes. The result is
    empty if scikit-image is not installed.
    """
    try:
        import skimage.data  # noqa: PLC0415
    except ImportError:
        return {}
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(skimage.data.astronaut()[..., ::-1]))
    picture = read_picture(data.tobytes())
    figures: dict[str, float] = {}
    for name, has_parts in (("slow_look_of_wholes", False), ("slow_look", True)):
        views = [
            len(one.views) for one in views_for_deferred_scan(picture, lambda one=has_parts: one)
        ]
        took_s = _median(
            lambda _, one=has_parts: list(views_for_deferred_scan(picture, lambda: one)), 3
        )
        figures |= {f"{name}_s": round(took_s, 3), f"{name}_lookups": sum(views)}
    return figures


def _median(act: Callable[[int], object], times: int) -> float:
    taken = []
    for turn in range(times):
        began = time.process_time()
        act(turn)
        taken.append(time.process_time() - began)
    return median(taken)


def _claim(number: int, windows: int) -> Registration:
    rng = np.random.default_rng(number)
    claim = Claim(
        ClaimId(rng.bytes(16).hex()), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, _AT, rng.bytes(32)
    )
    return Registration(claim, (rng.bytes(32),), tuple(rng.bytes(32) for _ in range(windows)))


def _upload(number: int) -> Review:
    rng = np.random.default_rng(number)
    name = rng.bytes(6).hex()
    case = f"{name[:4]}-{name[4:8]}-{name[8:]}"
    return Review(
        Decision(Outcome.LET_THROUGH, case, ()),
        _AT,
        ReviewState.CLOSED,
        bits=rng.bytes(32),
        reference="photos/2026/11/25/" + rng.bytes(8).hex(),
        secret_sha256=rng.bytes(32),
        upload_sha256=rng.bytes(32),
    )


def _size(engine: sa.Engine) -> int:
    """Return the database's size in bytes.

    First the log is emptied and deleted data is overwritten, so that neither is counted.
    """
    overwrite_deleted_data(engine)
    asked = "SELECT pg_database_size(current_database())"
    if engine.dialect.name != "postgresql":
        asked = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with engine.connect() as db:
        return int(db.exec_driver_sql(asked).scalar_one())


def main() -> None:
    """Measure each number of shards in its own subprocess, so that memory is counted separately."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--database", metavar="URL", help="an empty PostgreSQL, not SQLite")
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.shards:
        print(json.dumps(measure_index(asked.hashes, asked.shards)))  # noqa: T201
        return
    answer: dict[str, object] = {"schema": "entrenous/bench-room/1", "hashes": asked.hashes}
    command = [sys.executable, "-m", "bench.stopping.room", "--hashes", str(asked.hashes)]
    for shards in _SHARDS:
        own = subprocess.run(  # noqa: S603 -- this very file
            [*command, "--shards", str(shards)], check=True, capture_output=True, text=True
        )
        answer[f"shards_{shards}"] = json.loads(own.stdout)
    answer |= measure_database(asked.database)
    answer |= slow_look()
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
