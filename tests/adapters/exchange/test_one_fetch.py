"""Two fetches of one source at the same time: the second says so and ends."""

import pytest
import sqlalchemy as sa

from entrenous.adapters.bank.postgres import open_postgres_engine
from entrenous.adapters.exchange.one_fetch import one_fetch
from entrenous.model.exchange import FetchRuns
from tests.postgres import Cluster
from tests.stop.exchange.room import Room


def test_one_at_a_time_in_a_file(room: Room) -> None:
    _one_at_a_time(room.exchange.sources.engine)  # type: ignore[attr-defined]


@pytest.mark.real
def test_one_at_a_time_in_postgresql(postgres: Cluster) -> None:
    engine = open_postgres_engine(postgres.fresh())
    try:
        _one_at_a_time(engine)
    finally:
        engine.dispose()


def _one_at_a_time(engine: sa.Engine) -> None:
    with one_fetch(engine, "charity"):
        with pytest.raises(FetchRuns, match="charity"), one_fetch(engine, "charity"):
            pass
        with one_fetch(engine, "another"):
            pass
    with pytest.raises(ZeroDivisionError), one_fetch(engine, "charity"):
        raise ZeroDivisionError
    with one_fetch(engine, "charity"):
        pass
