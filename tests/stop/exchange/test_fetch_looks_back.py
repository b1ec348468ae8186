"""Accepted uploads are compared with hashes that a source or a partner adds later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.environment import SystemRandomSource
from entrenous.base.identifiers import BankName
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.exchange_fetch import fetch_source
from entrenous.stop.exchange_nouns import Source, SourceKind, SourcePage, SourceRecord
from entrenous.stop.exchange_serving import add_exchange_partner, authenticate_partner
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.judge.look_back import look_back_for_due_claims
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.open_gate import open_exchange
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import FoundBy
from tests.deterministic import SettableClock
from tests.stop.exchange.test_fetch import ScriptedSource
from tests.stop.platform_for_tests import jpeg, judge_upload, picture
from tests.stop.store.bank_stores import DATABASE_KINDS, open_new_engine

SOURCE = Source("charity", SourceKind.STOPNCII, "https://charity.example/v1", BankName("theirs"))


@pytest.fixture(params=DATABASE_KINDS)
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    engine, clock = open_new_engine(request.param, request, tmp_path), SettableClock()
    bank = BankStore(engine, clock)
    create_built_in_banks(bank)
    index, reviews = FileIndex(tmp_path / "index", bank), ReviewQueue(engine, clock)
    sounds = RegisteredSounds(bank)
    yield Platform(clock, SystemRandomSource(), bank, index, reviews, read_picture, sounds=sounds)
    engine.dispose()


def assert_held_by_look_back(platform: Platform, case: str, bank: str) -> None:
    assert platform.reviews.count_waiting_items() == 0
    assert look_back_for_due_claims(platform) == 1
    review = platform.reviews.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.reference) == (case, FoundBy.LOOK_BACK, "post 17")
    assert [match.bank for match in review.decision.matches] == [bank]
    assert look_back_for_due_claims(platform) == 0


def test_earlier_upload_waits_after_a_fetch(platform: Platform, her_picture: Any) -> None:
    case = judge_upload(jpeg(her_picture), platform, "post 17").case
    exchange = open_exchange(platform)
    exchange.sources.add(SOURCE)
    page = SourcePage((SourceRecord("k", 1, (fingerprint(picture(her_picture)).bits,)),), "1")
    fetch_source(SOURCE, ScriptedSource([page]), exchange, platform)
    assert_held_by_look_back(platform, case, "theirs")
    fetch_source(SOURCE, ScriptedSource([page]), exchange, platform)
    assert platform.reviews.count_due_work().look_backs == 0


def test_earlier_upload_waits_after_a_submission(platform: Platform, her_picture: Any) -> None:
    case = judge_upload(jpeg(her_picture), platform, "post 17").case
    exchange = open_exchange(platform)
    key = add_exchange_partner("friends", [BankName("people")], exchange, submits=True)
    partner = authenticate_partner(key, exchange)
    exchange.submissions.submit(partner, [fingerprint(picture(her_picture)).bits])
    assert_held_by_look_back(platform, case, "from-friends")
