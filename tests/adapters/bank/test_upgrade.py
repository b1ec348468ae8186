"""A database of version 1 to 4 is brought up to date in place, whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.bank.tables import METADATA, VERSION
from entrenous.adapters.index.file_index import FileIndex
from entrenous.model.bank import Bank, BankUnreachable, Counts
from entrenous.model.claim import ClaimEvent, ClaimState
from entrenous.model.decision import Outcome
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.review import Found, ReviewState
from entrenous.stop.audit import verify_log
from tests.adapters.bank.upgraded import (
    ONE,
    TWO,
    knows_what_it_had_and_takes_a_video,
    two_can_confirm_what_waited,
)

# As version 1 made it, with a bank, two claims, a held upload and a closed one.
VERSION_1 = """
CREATE TABLE bank (name TEXT NOT NULL, radius INTEGER NOT NULL, on_claimed TEXT NOT NULL,
    on_confirmed TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE hash (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, bits BLOB NOT NULL,
    part BOOLEAN NOT NULL, UNIQUE (bits, part));
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE upload (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, case_number TEXT NOT NULL,
    at INTEGER NOT NULL, outcome TEXT NOT NULL, state TEXT NOT NULL, matches JSON NOT NULL,
    bits BLOB, untrusted_upload BLOB, UNIQUE (case_number));
CREATE INDEX ix_upload_state ON upload (state);
CREATE TABLE claim (id TEXT NOT NULL, bank TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL,
    quality INTEGER NOT NULL, made_at INTEGER NOT NULL, holder_sha256 BLOB, reason TEXT NOT NULL,
    jurisdiction TEXT NOT NULL, disputes INTEGER NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(bank) REFERENCES bank (name));
CREATE TABLE claim_hash (claim TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (claim, number),
    FOREIGN KEY(claim) REFERENCES claim (id), FOREIGN KEY(number) REFERENCES hash (number))
    WITHOUT ROWID;
CREATE INDEX claims_of_hash ON claim_hash (number);
INSERT INTO schema_version VALUES (1);
INSERT INTO bank VALUES ('people', 20, 'hold', 'refuse');
INSERT INTO claim VALUES ('later', 'people', 'waiting', 'pdq', 90, 2000000, NULL, '', '', 2);
INSERT INTO claim VALUES ('early', 'people', 'confirmed', 'pdq', 80, 1000000, NULL, 'mine', '', 0);
INSERT INTO hash VALUES (5, X'{one}', 0), (6, X'{two}', 1);
INSERT INTO claim_hash VALUES ('early', 5), ('later', 5), ('later', 6);
INSERT INTO upload VALUES (3, 'aaaa', 3000000, 'hold', 'waiting',
    '[{{"bank": "people", "claim": "later", "distance": 4, "how": "mirror", "part": false}}]',
    X'{one}', X'ffd8');
INSERT INTO upload VALUES (4, 'bbbb', 4000000, 'let through', 'closed', '[]', NULL, NULL);
"""
# As version 2 made it, with a bank, a claim and an upload that was let through.
VERSION_2 = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE bank (name TEXT NOT NULL, radius INTEGER NOT NULL, on_claimed TEXT NOT NULL,
    on_confirmed TEXT NOT NULL, shadow BOOLEAN DEFAULT 0 NOT NULL, PRIMARY KEY (name));
CREATE TABLE hash (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, bits BLOB NOT NULL, part
    BOOLEAN NOT NULL, UNIQUE (bits, part));
CREATE TABLE partner ("key" BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE upload (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, case_number TEXT NOT
    NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, state TEXT NOT NULL, matches JSON NOT
    NULL, bits BLOB, untrusted_upload BLOB, would TEXT, entry INTEGER, reference TEXT DEFAULT ''
    NOT NULL, found TEXT DEFAULT 'upload' NOT NULL, secret_sha256 BLOB, upload_sha256 BLOB,
    appealed_at INTEGER, lead TEXT, UNIQUE (case_number));
CREATE INDEX waiting_by_entry ON upload (entry) WHERE state = 'waiting';
CREATE INDEX waiting_by_lead ON upload (lead) WHERE state = 'waiting';
CREATE INDEX ix_upload_state ON upload (state);
CREATE INDEX waiting_by_file ON upload (upload_sha256, state) WHERE state = 'waiting';
CREATE INDEX accepted_uploads ON upload (number) WHERE state = 'closed'
    AND outcome = 'let through' AND bits IS NOT NULL;
CREATE TABLE audit (number INTEGER NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, "of" TEXT
    NOT NULL, details JSON NOT NULL, "before" BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY
    (number));
CREATE TABLE audit_head (id INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (id));
CREATE TABLE claim (id TEXT NOT NULL, bank TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT
    NULL, quality INTEGER NOT NULL, made_at INTEGER NOT NULL, holder_sha256 BLOB, reason TEXT
    NOT NULL, jurisdiction TEXT NOT NULL, disputes INTEGER NOT NULL, changed INTEGER DEFAULT '0'
    NOT NULL, changed_at INTEGER DEFAULT '0' NOT NULL, PRIMARY KEY (id), FOREIGN KEY(bank)
    REFERENCES bank (name));
CREATE INDEX claims_by_change ON claim (changed);
CREATE TABLE claim_hash (claim TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (claim,
    number), FOREIGN KEY(claim) REFERENCES claim (id), FOREIGN KEY(number) REFERENCES hash
    (number)) WITHOUT ROWID;
CREATE INDEX claims_of_hash ON claim_hash (number);
CREATE TABLE opinion (claim TEXT NOT NULL, "key" BLOB NOT NULL, stance TEXT NOT NULL, at INTEGER
    NOT NULL, PRIMARY KEY (claim, "key"), FOREIGN KEY(claim) REFERENCES claim (id));
INSERT INTO schema_version VALUES (2);
INSERT INTO bank VALUES ('people', 20, 'hold', 'refuse', 0);
INSERT INTO claim VALUES ('early', 'people', 'waiting', 'pdq', 90, 2000000, NULL, '', '', 0, 7,
    2000000);
INSERT INTO hash VALUES (5, X'{one}', 0), (6, X'{two}', 1);
INSERT INTO claim_hash VALUES ('early', 5), ('early', 6);
INSERT INTO upload VALUES (4, 'bbbb', 4000000, 'let through', 'closed', '[]', X'{two}', NULL, NULL,
    NULL, 'post 4', 'upload', NULL, NULL, NULL, NULL);
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
INSERT INTO bank VALUES ('people', 31, 'hold', 'refuse', 0);
INSERT INTO claim VALUES ('later', 'people', 'waiting', 'pdq', 90, 1, NULL, '', '', 0, 5, 1, NULL,
    0);
INSERT INTO upload (case_number, at, outcome, state, matches, untrusted_upload) VALUES
    ('aaaa', 3000000, 'hold', 'waiting',
    '[{"bank": "people", "claim": "later", "distance": 4, "how": "mirror", "part": false}]',
    X'ffd8');
"""
# What version 3 had not, with a claim that was confirmed and extended since, one that waits, an
# upload that was released in between, and a released clip.
VERSION_3 = f"""
ALTER TABLE claim_hash DROP COLUMN added;
DROP INDEX released_uploads;
DROP INDEX uploads_to_remove;
ALTER TABLE upload DROP COLUMN listed_until;
ALTER TABLE upload DROP COLUMN first_confirmer;
DROP TABLE reviewer;
DROP TABLE page;
ALTER TABLE claim DROP COLUMN confirmed;
ALTER TABLE released_file DROP COLUMN number;
UPDATE schema_version SET version = 3;
INSERT INTO bank VALUES ('people', 31, 'hold', 'refuse', 0);
INSERT INTO bank VALUES ('released', 16, 'let through', 'let through', 0);
INSERT INTO claim VALUES ('early', 'people', 'confirmed', 'pdq', 90, 1, NULL, '', '', 0, 9, 1,
    NULL);
INSERT INTO claim VALUES ('later', 'people', 'waiting', 'pdq', 90, 1, NULL, '', '', 0, 5, 1, NULL);
INSERT INTO claim VALUES ('through', 'released', 'confirmed', 'pdq', 90, 1, NULL, '', '', 0, 4, 1,
    NULL);
INSERT INTO released_file VALUES (X'{ONE.hex()}', 1);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1.format(one=ONE.hex(), two=TWO.hex()))
    db.close()
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "second.db"
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_2.format(one=ONE.hex(), two=TWO.hex()))
    db.close()
    return path


@pytest.fixture
def third(tmp_path: Path) -> Path:
    """As version 3 made it: without what version 4 adds."""
    path = tmp_path / "third.db"
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_3)
    db.close()
    return path


@pytest.fixture
def fourth(tmp_path: Path) -> Path:
    """As version 4 made it."""
    path = tmp_path / "fourth.db"
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_4)
    db.close()
    return path


def test_from_version_4_what_waits_can_be_confirmed_by_two(fourth: Path) -> None:
    two_can_confirm_what_waited(lambda: open_engine(fourth))


def test_from_version_3_what_is_confirmed_counts_as_confirmed_last(third: Path) -> None:
    """Of what was released before, nothing overrules a person who confirmed."""
    engine = open_engine(third)
    bank = SqlBankStore(engine)
    numbers = {one: bank.claim(ClaimId(one)).confirmed for one in ("early", "later", "through")}
    assert numbers == {"early": 9, "later": 0, "through": 4}
    released = bank.file_released(ONE)
    assert released is not None
    assert released.number == 0
    bank.move(ClaimId("later"), ClaimEvent.CONFIRM)
    assert bank.claim(ClaimId("later")).confirmed == 10
    engine.dispose()


def test_from_version_2_what_was_there_is_there_and_videos_can_come(second: Path) -> None:
    now = knows_what_it_had_and_takes_a_video(lambda: open_engine(second), 5, 6)
    assert now.bank.places_on({5}) == ((5, now.early, None), (5, now.film, 0))
    now.bank.engine.dispose()


def test_what_was_there_is_there(old: Path) -> None:
    for _ in range(2):  # once more is no upgrade
        engine = open_engine(old)
        bank, reviews = SqlBankStore(engine), SqlReviewQueue(engine)
        assert bank.banks() == (Bank(BankName("people"), 20),)
        assert bank.counts() == Counts(2, 2)
        assert bank.claim(ClaimId("early")).reason == "mine"
        assert bank.hashes_of(ClaimId("later")) == (ONE,)
        assert FileIndex(old.with_name("index"), bank).near([ONE], part=False)[0].entry == 5
        review = reviews.next()
        assert review is not None
        assert (review.case, review.bits, review.found) == ("aaaa", ONE, Found.UPLOAD)
        assert review.decision.matches[0].how == "mirror"
        assert reviews.upload("aaaa") == b"\xff\xd8"
        assert reviews.review("bbbb").decision.outcome is Outcome.LET_THROUGH
        engine.dispose()


def test_and_what_is_new_works_on_it(old: Path) -> None:
    engine = open_engine(old)
    bank, reviews = SqlBankStore(engine), SqlReviewQueue(engine)
    assert [(one.number, one.claim) for one in bank.changes(0, 9)] == [(1, "early"), (2, "later")]
    bank.move(ClaimId("early"), ClaimEvent.WITHDRAW)
    assert [(one.number, one.state) for one in bank.changes(2, 9)] == [(3, ClaimState.WITHDRAWN)]
    bank.set_bank(Bank(BankName("people"), shadow=True))
    assert bank.bank(BankName("people")).shadow
    reviews.close("aaaa", ReviewState.RELEASED, lambda _review, _bank: None)
    assert reviews.kept_pictures(0, 9) == ()
    assert verify_log(bank).number == 3
    engine.dispose()


def test_it_is_then_like_a_new_one(
    old: Path, second: Path, third: Path, fourth: Path, tmp_path: Path
) -> None:
    """The same columns and indexes, of the same kinds, whichever way it came to be."""
    shapes = []
    for path in (old, second, third, fourth, tmp_path / "new.db"):
        engine = open_engine(path)
        inspector = sa.inspect(engine)
        shapes.append(
            {
                table: (
                    {
                        (one["name"], str(one["type"]), one["nullable"])
                        for one in inspector.get_columns(table)
                    },
                    {one["name"] for one in inspector.get_indexes(table)},
                )
                for table in METADATA.tables
            }
        )
        with engine.connect() as db:
            assert db.exec_driver_sql("SELECT version FROM schema_version").scalars().all() == [
                VERSION
            ]
        engine.dispose()
    assert all(one == shapes[-1] for one in shapes)


def test_an_upgrade_that_fails_leaves_version_1(old: Path) -> None:
    with sqlite3.connect(old) as db:
        db.execute("CREATE TABLE audit (number INTEGER)")  # in the way of a later step
        db.execute("CREATE INDEX waiting_by_lead ON audit (number)")
    db.close()
    with pytest.raises(BankUnreachable, match="waiting_by_lead"):
        open_engine(old)
    with sqlite3.connect(old) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(bank)")]
        versions = db.execute("SELECT version FROM schema_version").fetchall()
    db.close()
    assert columns == ["name", "radius", "on_claimed", "on_confirmed"]
    assert versions == [(1,)]


def test_version_5_gets_a_place_for_frames(tmp_path: Path) -> None:
    path = tmp_path / "fifth.db"
    open_engine(path).dispose()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(
            "ALTER TABLE claim_hash DROP COLUMN added; DROP INDEX released_uploads;"
            "DROP INDEX uploads_to_remove; ALTER TABLE upload DROP COLUMN listed_until;"
            "DROP TABLE upload_frames;"
            "UPDATE schema_version SET version = 5;"
        )
    engine = open_engine(path)
    assert sa.inspect(engine).has_table("upload_frames")
    assert SqlReviewQueue(engine).kept_clips(0, 9) == ()
    engine.dispose()


def test_version_6_gets_a_place_for_how_clips_sound(tmp_path: Path) -> None:
    path = tmp_path / "sixth.db"
    open_engine(path).dispose()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript("""
            ALTER TABLE claim_hash DROP COLUMN added;
DROP INDEX released_uploads;
            DROP INDEX uploads_to_remove; ALTER TABLE upload DROP COLUMN listed_until;
            ALTER TABLE upload_frames DROP COLUMN words; UPDATE schema_version SET version = 6;
            INSERT INTO upload (number, case_number, at, outcome, state, matches)
                VALUES (7, 'old', 1, 'let through', 'closed', '[]');
            INSERT INTO upload_frames VALUES (7, 1, zeroblob(32));
        """)
    for _ in range(2):  # once more is no upgrade
        engine = open_engine(path)
        reviews = SqlReviewQueue(engine)
        assert [one.frames for one in reviews.kept_clips(0, 9)] == [(bytes(32),)]
        assert reviews.kept_sounds(0, 9) == ()
        engine.dispose()
