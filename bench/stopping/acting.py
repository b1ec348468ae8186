"""Measure the time until a new claim matches, and until a withdrawn claim no longer matches.

The bank is a real one, on disk.
"""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np

from bench.stopping.lookups import scratch_folder
from entrenous.base.identifiers import ClaimId
from entrenous.stop.index.maintenance import open_index
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.platform import IndexStore
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine

_BEFORE: Final = 20_000
_CLAIMS: Final = 40
_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)


class ClaimLatency(NamedTuple):
    """Median times in ms; each includes the durable write, and the look-up that first shows it."""

    add_to_match_ms: float
    withdraw_to_no_match_ms: float


def measure_claim_latency() -> ClaimLatency:
    """Return the median times from a change of the bank to the first correct look-up.

    They are measured by the clock with 40 claims, in a bank that has 20,000 other hashes.
    """
    rng = np.random.default_rng(4)
    with TemporaryDirectory(dir=scratch_folder()) as made:
        engine = open_engine(Path(made) / "bank.db")
        bank = BankStore(engine)
        bank.set_bank(Bank(PEOPLE_BANK))
        bank.register(_claim("before", *(rng.bytes(32) for _ in range(_BEFORE))))
        with closing(open_index(Path(made) / "index", bank)) as index:
            times = [_both(bank, index, str(number), rng.bytes(32)) for number in range(_CLAIMS)]
        engine.dispose()
    return ClaimLatency(*(median(column) for column in zip(*times, strict=True)))


def _both(bank: BankStore, index: IndexStore, name: str, bits: bytes) -> tuple[float, float]:
    def matches() -> bool:
        near = index.find_near_hashes([bits], part=False)
        return bool(bank.claims_on_pictures({one.entry for one in near}))

    def withdraw() -> None:
        bank.apply_event(ClaimId(name), ClaimEvent.WITHDRAW)

    added = _until(lambda: bank.register(_claim(name, bits)), matches)
    return added, _until(withdraw, lambda: not matches())


def _until(act: Callable[[], object], seen: Callable[[], bool]) -> float:
    began = time.perf_counter()
    act()
    while not seen():
        pass
    return 1e3 * (time.perf_counter() - began)


def _claim(name: str, *whole: bytes) -> Registration:
    claim = Claim(ClaimId(name), PEOPLE_BANK, ClaimState.CONFIRMED, "pdq", 90, _AT)
    return Registration(claim, whole)
