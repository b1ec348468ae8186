"""What looking back costs (docs/spec/gate.md, 5.2): new claims against uploads that were accepted.

    python -m bench.stopping.late
    python -m bench.stopping.late --uploads N --claims N

Random hashes in a SQLite, so that nothing fits, and as many fitting uploads as claims; processor
time of this process. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

if __package__ in {None, ""}:
    # Run as a file: this folder is on the path then, and not the one that `bench` is in.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import sqlalchemy as sa

from bench.stopping.lookups import scratch
from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.bank.upload_tables import UPLOAD
from entrenous.adapters.index.tending import open_index
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.craft.media.picture import read_picture
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Claim, ClaimState, Registration
from entrenous.model.ids import ClaimId
from entrenous.ports import Platform
from entrenous.ports.world import Clock
from entrenous.stop.look_back import look_back_due

_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)
_ROWS: Final = 10_000
_FITTING: Final = 10


@contextmanager
def _gate(folder: Path) -> Iterator[tuple[Platform, sa.Engine]]:
    engine = open_engine(folder / "bank.db")
    bank = SqlBankStore(engine)
    bank.set_bank(Bank(PEOPLE))
    with open_index(folder / "index", bank) as index:
        clock: Clock = SystemClock()
        reviews = SqlReviewQueue(engine, clock)
        yield Platform(clock, SystemDice(), bank, index, reviews, read_picture), engine
    engine.dispose()


def _let_through(engine: sa.Engine, count: int) -> list[bytes]:
    """So many uploads, and some of their hashes."""
    rng = np.random.default_rng(1)
    some = list[bytes]()
    for first in range(0, count, _ROWS):
        bits = [rng.bytes(32) for _ in range(min(_ROWS, count - first))]
        rows = [_row(f"case-{first + at}", one) for at, one in enumerate(bits)]
        with engine.begin() as db:
            db.execute(UPLOAD.insert(), rows)
        some += bits[:1]
    return some[:_FITTING]


def _row(case: str, bits: bytes) -> dict[str, object]:
    at = round(_AT.timestamp() * 1e6)
    row = {"case_number": case, "at": at, "outcome": "let through", "state": "closed"}
    return row | {"matches": [], "bits": bits}


def _claims(platform: Platform, name: str, hashes: list[bytes]) -> None:
    platform.bank.register(
        *(
            Registration(
                Claim(ClaimId(f"{name}-{at}"), PEOPLE, ClaimState.WAITING, "pdq", 100, _AT),
                (one,),
                looks_back=True,
            )
            for at, one in enumerate(hashes)
        )
    )


def _spent_s(platform: Platform, claims: int, fitting: list[bytes]) -> float:
    """Processor time until no look back is due any more."""
    rng = np.random.default_rng(claims)
    hashes = [*fitting, *(rng.bytes(32) for _ in range(claims - len(fitting)))]
    _claims(platform, str(claims), hashes)
    platform.index.near([hashes[0]], part=False)
    began = time.process_time()
    while platform.reviews.due().look_backs:
        look_back_due(platform)
    return time.process_time() - began


def main() -> None:
    """Measure, and say."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    asked.add_argument("--uploads", type=int, default=100_000)
    asked.add_argument("--claims", type=int, default=2_000)
    wanted = asked.parse_args()
    with TemporaryDirectory(dir=scratch()) as folder, _gate(Path(folder)) as (platform, engine):
        some = _let_through(engine, wanted.uploads)
        one_s = _spent_s(platform, 1, some[:1])
        many_s = _spent_s(platform, wanted.claims, some[1:])
        found = platform.reviews.waiting()
    told = {
        "uploads": wanted.uploads,
        "claims": wanted.claims,
        "one_claim_s": round(one_s, 3),
        "many_s": round(many_s, 2),
        "ms_per_claim": round(1e3 * many_s / wanted.claims, 2),
        "found": found,
    }
    sys.stdout.write(json.dumps({"schema": "entrenous/bench-late/1", **told}) + "\n")


if __name__ == "__main__":
    main()
