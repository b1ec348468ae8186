"""A PostgreSQL of version 2 or 4 is brought up to date in place, whole, by all who start it."""

import threading

import psycopg
import pytest
import sqlalchemy as sa

from entrenous.adapters.bank.postgres import open_postgres_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.tables import METADATA, VERSION
from entrenous.model.claim import ClaimEvent
from entrenous.model.ids import ClaimId
from tests.adapters.bank.upgraded import (
    ONE,
    TWO,
    knows_what_it_had_and_takes_a_video,
    two_can_confirm_what_waited,
)
from tests.postgres import Cluster

# As version 2 made it, with a bank, a claim and an upload that was let through.
VERSION_2 = """
CREATE TABLE audit (number BIGINT NOT NULL, at BIGINT NOT NULL, what TEXT NOT NULL, "of" TEXT
    NOT NULL, details JSON NOT NULL, before BYTEA NOT NULL, hash BYTEA NOT NULL, PRIMARY KEY
    (number));
CREATE TABLE audit_head (id INTEGER NOT NULL, number BIGINT NOT NULL, hash BYTEA NOT NULL,
    PRIMARY KEY (id));
CREATE TABLE bank (name TEXT NOT NULL, radius INTEGER NOT NULL, on_claimed TEXT NOT NULL,
    on_confirmed TEXT NOT NULL, shadow BOOLEAN DEFAULT false NOT NULL, PRIMARY KEY (name));
CREATE TABLE hash (number BIGSERIAL NOT NULL, bits BYTEA NOT NULL, part BOOLEAN NOT NULL,
    PRIMARY KEY (number), UNIQUE (bits, part));
CREATE TABLE partner (key BYTEA NOT NULL, name TEXT NOT NULL, PRIMARY KEY (key));
CREATE TABLE schema_version (version SERIAL NOT NULL, PRIMARY KEY (version));
CREATE TABLE upload (number BIGSERIAL NOT NULL, case_number TEXT NOT NULL, at BIGINT NOT NULL,
    outcome TEXT NOT NULL, state TEXT NOT NULL, matches JSON NOT NULL, bits BYTEA,
    untrusted_upload BYTEA, would TEXT, entry BIGINT, reference TEXT DEFAULT '' NOT NULL, found
    TEXT DEFAULT 'upload' NOT NULL, secret_sha256 BYTEA, upload_sha256 BYTEA, appealed_at
    BIGINT, lead TEXT, PRIMARY KEY (number), UNIQUE (case_number));
CREATE INDEX accepted_uploads ON upload (number) WHERE state = 'closed' AND outcome =
    'let through' AND bits IS NOT NULL;
CREATE INDEX ix_upload_state ON upload (state);
CREATE INDEX waiting_by_entry ON upload (entry) WHERE state = 'waiting';
CREATE INDEX waiting_by_file ON upload (upload_sha256, state) WHERE state = 'waiting';
CREATE INDEX waiting_by_lead ON upload (lead) WHERE state = 'waiting';
CREATE TABLE claim (id TEXT NOT NULL, bank TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT
    NULL, quality INTEGER NOT NULL, made_at BIGINT NOT NULL, holder_sha256 BYTEA, reason TEXT
    NOT NULL, jurisdiction TEXT NOT NULL, disputes INTEGER NOT NULL, changed BIGINT DEFAULT '0'
    NOT NULL, changed_at BIGINT DEFAULT '0' NOT NULL, PRIMARY KEY (id), FOREIGN KEY(bank)
    REFERENCES bank (name));
CREATE INDEX claims_by_change ON claim (changed);
CREATE TABLE claim_hash (claim TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (claim,
    number), FOREIGN KEY(claim) REFERENCES claim (id), FOREIGN KEY(number) REFERENCES hash
    (number));
CREATE INDEX claims_of_hash ON claim_hash (number);
CREATE TABLE opinion (claim TEXT NOT NULL, key BYTEA NOT NULL, stance TEXT NOT NULL, at BIGINT
    NOT NULL, PRIMARY KEY (claim, key), FOREIGN KEY(claim) REFERENCES claim (id));
INSERT INTO schema_version VALUES (2);
INSERT INTO bank VALUES ('people', 20, 'hold', 'refuse', false);
INSERT INTO claim VALUES ('early', 'people', 'waiting', 'pdq', 90, 2000000, NULL, '', '', 0, 7,
    2000000);
INSERT INTO hash (bits, part) VALUES ('\\x{one}', false), ('\\x{two}', true);
INSERT INTO claim_hash VALUES ('early', 1), ('early', 2);
INSERT INTO upload (case_number, at, outcome, state, matches, bits, reference) VALUES
    ('bbbb', 4000000, 'let through', 'closed', '[]', '\\x{two}', 'post 4');
"""

# What version 4 had not, with an upload that waits.
VERSION_4 = """
ALTER TABLE claim_hash DROP COLUMN added;
DROP INDEX released_uploads;
DROP INDEX uploads_to_remove;
ALTER TABLE upload DROP COLUMN listed_until;
ALTER TABLE upload DROP COLUMN first_confirmer;
DROP TABLE reviewer;
DROP TABLE page;
UPDATE schema_version SET version = 4;
INSERT INTO bank VALUES ('people', 31, 'hold', 'refuse', false);
INSERT INTO claim VALUES ('later', 'people', 'waiting', 'pdq', 90, 1, NULL, '', '', 0, 5, 1, NULL,
    0);
INSERT INTO upload (case_number, at, outcome, state, matches, untrusted_upload) VALUES
    ('aaaa', 3000000, 'hold', 'waiting',
    '[{"bank": "people", "claim": "later", "distance": 4, "how": "mirror", "part": false}]',
    '\\xffd8');
"""


@pytest.fixture
def fourth(postgres: Cluster) -> str:
    url = postgres.fresh()
    open_postgres_engine(url).dispose()
    with psycopg.connect(url) as db:
        db.execute(VERSION_4.encode())
    return url


@pytest.fixture
def second(postgres: Cluster) -> str:
    url = postgres.fresh()
    with psycopg.connect(url) as db:
        db.execute(VERSION_2.format(one=ONE.hex(), two=TWO.hex()).encode())
    return url


def shape(engine: sa.Engine) -> dict[str, object]:
    """Columns and indexes, as the database tells them."""
    inspector = sa.inspect(engine)
    return {
        table: (
            {
                (one["name"], str(one["type"]), one["nullable"])
                for one in inspector.get_columns(table)
            },
            {(one["name"], str(one["dialect_options"])) for one in inspector.get_indexes(table)},
        )
        for table in METADATA.tables
    }


@pytest.mark.real
def test_what_was_there_is_there_and_videos_come_and_go(second: str) -> None:
    now = knows_what_it_had_and_takes_a_video(lambda: open_postgres_engine(second), 1, 2)
    bank = now.bank
    assert set(bank.places_on({1})) == {(1, now.early, None), (1, now.film, 0)}
    bank.move(now.film.id, ClaimEvent.WITHDRAW)
    assert (bank.heard_by([1]), bank.sounds(0)) == ((), ())
    assert bank.places_on({1}) == ((1, now.early, None),)
    bank.engine.dispose()


@pytest.mark.real
def test_from_version_4_what_waits_can_be_confirmed_by_two(fourth: str) -> None:
    two_can_confirm_what_waited(lambda: open_postgres_engine(fourth))


@pytest.mark.real
def test_it_is_then_like_a_new_one(second: str, fourth: str, postgres: Cluster) -> None:
    old, later, new = (open_postgres_engine(url) for url in (second, fourth, postgres.fresh()))
    assert shape(old) == shape(later) == shape(new)
    for engine in (old, later, new):
        with engine.connect() as db:
            versions = db.exec_driver_sql("SELECT version FROM schema_version").scalars()
            assert versions.all() == [VERSION]
        engine.dispose()


@pytest.mark.real
def test_gates_that_start_at_once_upgrade_it_once(second: str) -> None:
    opened = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_postgres_engine(second)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [SqlBankStore(engine).claim(ClaimId("early")).id for engine in opened] == ["early"] * 3
    for engine in opened:
        engine.dispose()
