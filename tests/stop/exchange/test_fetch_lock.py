"""A lock on a source excludes a second lock on this source until the first is released."""

import pytest
import sqlalchemy as sa

from entrenous.stop.exchange_nouns import FetchAlreadyRunning
from entrenous.stop.store.engine import open_postgres_engine
from entrenous.stop.store.exchange_partners import hold_source_lock
from tests.postgres import Cluster
from tests.stop.exchange.exchange_for_tests import ExchangeSetup


def test_second_lock_on_a_source_fails_with_sqlite(exchange_setup: ExchangeSetup) -> None:
    _check_mutual_exclusion(exchange_setup.exchange.sources.engine)  # type: ignore[attr-defined]


@pytest.mark.real
def test_second_lock_on_a_source_fails_with_postgresql(postgres: Cluster) -> None:
    engine = open_postgres_engine(postgres.create_database())
    try:
        _check_mutual_exclusion(engine)
    finally:
        engine.dispose()


def _check_mutual_exclusion(engine: sa.Engine) -> None:
    with hold_source_lock(engine, "charity"):
        with (
            pytest.raises(FetchAlreadyRunning, match="charity"),
            hold_source_lock(engine, "charity"),
        ):
            pass
        with hold_source_lock(engine, "another"):
            pass
    with pytest.raises(ZeroDivisionError), hold_source_lock(engine, "charity"):
        raise ZeroDivisionError
    with hold_source_lock(engine, "charity"):
        pass
