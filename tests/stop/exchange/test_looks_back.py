"""What a source or a partner brings is looked back for, like a person's claim."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.index.file_index import FileIndex
from entrenous.adapters.system import SystemDice
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.media.picture import read_picture
from entrenous.model.exchange import Page, Record, Source, SourceKind
from entrenous.model.ids import BankName
from entrenous.model.review import Found
from entrenous.ports import Platform
from entrenous.stop.banks import prepare_banks
from entrenous.stop.exchange.fetch import fetch_source
from entrenous.stop.exchange.partners import add_partner, partner_with
from entrenous.stop.gate import judge_upload
from entrenous.stop.look_back import look_back_due
from entrenous.wiring.exchange import exchange_of
from tests.ports.bank_stores import KINDS, engine_of
from tests.stop.exchange.test_fetch import Script
from tests.stop.room import WoundClock, jpeg, picture

SOURCE = Source("charity", SourceKind.STOPNCII, "https://charity.example/v1", BankName("theirs"))


@pytest.fixture(params=KINDS)
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    engine, clock = engine_of(request.param, request, tmp_path), WoundClock()
    bank = SqlBankStore(engine, clock)
    prepare_banks(bank)
    index, reviews = FileIndex(tmp_path / "index", bank), SqlReviewQueue(engine, clock)
    yield Platform(clock, SystemDice(), bank, index, reviews, read_picture)
    engine.dispose()


def waits(platform: Platform, case: str, bank: str) -> None:
    assert platform.reviews.waiting() == 0
    assert look_back_due(platform) == 1
    review = platform.reviews.next()
    assert review is not None
    assert (review.case, review.found, review.reference) == (case, Found.LOOK_BACK, "post 17")
    assert [match.bank for match in review.decision.matches] == [bank]
    assert look_back_due(platform) == 0


def test_what_was_let_through_before_a_fetch_waits_after_it(platform: Platform, hers: Any) -> None:
    case = judge_upload(jpeg(hers), platform, "post 17").case
    exchange = exchange_of(platform)
    exchange.sources.add(SOURCE)
    page = Page((Record("k", 1, (fingerprint(picture(hers)).bits,)),), "1")
    fetch_source(SOURCE, Script([page]), exchange, platform)
    waits(platform, case, "theirs")
    fetch_source(SOURCE, Script([page]), exchange, platform)  # brings nothing new
    assert platform.reviews.due().look_backs == 0


def test_and_before_a_partner_submitted_it(platform: Platform, hers: Any) -> None:
    case = judge_upload(jpeg(hers), platform, "post 17").case
    exchange = exchange_of(platform)
    key = add_partner("friends", [BankName("people")], exchange, submits=True)
    partner = partner_with(key, exchange)
    exchange.submissions.submit(partner, [fingerprint(picture(hers)).bits])
    waits(platform, case, "from-friends")
