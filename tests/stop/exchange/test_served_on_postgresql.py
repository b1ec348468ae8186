"""The tables of the exchange on PostgreSQL: served claims, opinions, sources and records."""

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.exchange_nouns import ChangeTime, Checkpoint, KnownRecord, Source, SourceKind
from entrenous.stop.registration import Stance
from entrenous.stop.store.engine import open_postgres_engine
from entrenous.stop.store.exchange_partners import ExchangePartnerStore, SourceStore
from entrenous.stop.store.exchange_served import (
    SERVED_HASH_TABLE,
    ServedClaimStore,
    prepare_exchange_tables,
)
from tests.deterministic import SettableClock
from tests.postgres import Cluster
from tests.stop.exchange.exchange_for_tests import PEOPLE_BANK, MemoryFeed, fake_hash

pytestmark = pytest.mark.real


def test_exchange_tables_work_on_postgresql(postgres: Cluster) -> None:
    engine = open_postgres_engine(postgres.create_database())
    try:
        for _ in range(2):
            prepare_exchange_tables(engine)
        _check_served_claims(engine)
        _check_sources(engine)
    finally:
        engine.dispose()


def _check_served_claims(engine: sa.Engine) -> None:
    clock = SettableClock()
    feed, partners, served = (
        MemoryFeed(clock),
        ExchangePartnerStore(engine),
        ServedClaimStore(engine),
    )
    partners.add("friends", [PEOPLE_BANK], submits=False, key_sha256=bytes(32))
    partner = partners.partner_with_key_hash(bytes(32))
    assert partner is not None
    claim = feed.put_claim("hers", fake_hash(1))
    for change_time in (ChangeTime(5, 1), ChangeTime(5, 9), ChangeTime(9, 2)):
        served.add_change_time(change_time, 0)
    assert [change_time.number for change_time in served.change_times_between(0, 2)] == [1, 2]
    for before_s in (50, 40):
        served.stop_dating_changes_before(before_s)
    served.add_change_time(ChangeTime(20, 3), 0)
    assert served.newest_change_time() == ChangeTime(50, 3)
    served.record_served(partner, feed.changes(0, 9), 1)
    partners.record_opinions(partner, {claim: Stance.DISPUTED}, clock.now())
    assert [one.stance for one in partners.opinions_on([claim])] == [Stance.DISPUTED]
    feed.withdraw("hers")
    served.apply_next_changes(feed, 2)
    assert served.served_to(partner, [claim])[claim].hashes == (fake_hash(1),)
    served.delete_tombstones_read_by(partner, 2)
    with engine.connect() as db:
        assert db.execute(sa.select(SERVED_HASH_TABLE)).all() == []


def _check_sources(engine: sa.Engine) -> None:
    sources, clock = SourceStore(engine), SettableClock()
    sources.add(Source("charity", SourceKind.NCMEC, "https://x.example", BankName("theirs")))
    known = [
        KnownRecord(fake_hash(n), 1, 2**40, fake_hash(0), ClaimId(f"c{n}")) for n in range(1200)
    ]
    at = Checkpoint(1, anew=True, token="a", begun_at=clock.now())
    for _ in range(2):
        sources.store_page("charity", known, at)
    assert (sources.checkpoint("charity"), sources.count_records_with_claim("charity")) == (
        at,
        1200,
    )
    assert len(sources.known_records("charity", [one.key_sha256 for one in known])) == 1200
    assert len(sources.unseen_records_with_claim("charity", 2)) == 1200
