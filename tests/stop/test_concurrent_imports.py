"""Two concurrent imports into one bank, with separate connections."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName
from entrenous.stop.banks import import_hashes
from entrenous.stop.nouns import ImportResult
from entrenous.stop.registration import Claim, ClaimState
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine, open_postgres_engine
from tests.stop.platform_for_tests import GateSetup

LIST_BANK = BankName("listed")
HASH_LIST = "\n".join(number.to_bytes(32, "big").hex() for number in range(6000))
DATABASE_KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.real)]


class BankStoreAtBarrier(BankStore):
    """A bank store whose look-up returns only after both imports have looked up the hashes."""

    barrier = threading.Barrier(2)

    def find_hashes_in_bank(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> dict[bytes, Claim]:
        found = super().find_hashes_in_bank(bank, hashes, states)
        self.barrier.wait(60)
        return found


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", DATABASE_KINDS)
def test_concurrent_imports_add_each_hash_once(
    database_kind: str, gate_setup: GateSetup, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    open_database: Callable[[], sa.Engine] = partial(open_engine, tmp_path / "gate.sqlite")
    if database_kind == "postgres":
        open_database = partial(
            open_postgres_engine, request.getfixturevalue("postgres").create_database()
        )
    engine = open_database()

    def import_list(_: int) -> ImportResult:
        engine_of_thread = open_database()
        platform = replace(
            gate_setup.platform, bank=BankStoreAtBarrier(engine_of_thread, gate_setup.clock)
        )
        try:
            return import_hashes(HASH_LIST, LIST_BANK, platform)
        finally:
            engine_of_thread.dispose()

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(import_list, range(2)))
    bank = BankStore(engine, gate_setup.clock)
    assert bank.count_claims_and_hashes().claims == sum(one.accepted for one in done) == 6000
    assert sum(one.already for one in done) == 6000
    engine.dispose()
