"""Tests of stamps: an item that differs from its stamp, a rewritten case, implausible times."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from entrenous.base.errors import InvalidTimestamp
from entrenous.respond.case_file import find_case, save_case
from entrenous.respond.client.stamp_authority import HttpTimestampAuthority, verify_stamp
from entrenous.respond.custody import CASES_TABLE, CustodyAct, delete_chain
from entrenous.respond.evidence import (
    CLOCK_DIFFERENCE_MAX,
    ItemDiffersFromStamp,
    StampPostponed,
    StampRefused,
    cases_to_stamp,
    evidence_level_in_words,
    stamp_evidence,
    stamp_evidence_or_postpone,
    verify_case,
)
from entrenous.respond.nouns import Case, EvidenceItem, EvidenceLevel, Stamp
from entrenous.respond.open_case import add_statement
from tests.respond.case_owner import START, CaseOwner, create_stamp_authority, owner_at_current_time

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def owner() -> CaseOwner:
    return owner_at_current_time()


@pytest.mark.real
@pytest.mark.threat("evidence-changed")
@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (
            lambda item: replace(item, level=EvidenceLevel.A4),
            "In the stamp: A0, .* In the case: A4,",
        ),
        (lambda item: replace(item, added_at=LONG_AGO), "In the case: A0, added at 2020-01-01"),
    ],
)
def test_item_that_differs_from_its_stamp_is_refused(
    change: Callable[[EvidenceItem], EvidenceItem],
    pattern: str,
    owner: CaseOwner,
    authority: HttpTimestampAuthority,
) -> None:
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    other = replace(stamped, evidence=(change(stamped.evidence[0]),))
    save_case(other, owner.device, CustodyAct.CHANGED, "said more about it")
    with pytest.raises(ItemDiffersFromStamp) as refused:
        verify_case(case.name, owner.device, verify_stamp)
    message = " ".join(str(refused.value).split())
    assert f"Item 1 of case {case.name}" in message
    assert re.search(pattern, message)


@pytest.mark.real
@pytest.mark.threat("evidence-changed")
def test_rewritten_case_fails_against_the_genuine_authority(
    owner: CaseOwner, authority: HttpTimestampAuthority, tmp_path: Path
) -> None:
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    genuine = partial(verify_stamp, authorities=stamped.stamps[0].authorities)
    assert verify_case(case.name, owner.device, genuine) == stamped
    _rewrite_case(stamped, owner, create_stamp_authority(tmp_path / "own"))
    verify_case(case.name, owner.device, verify_stamp)
    with pytest.raises(InvalidTimestamp, match="authority that you trust"):
        verify_case(case.name, owner.device, genuine)


def _rewrite_case(case: Case, owner: CaseOwner, own_authority: HttpTimestampAuthority) -> None:
    delete_chain(case.name, owner.device)
    owner.vault.drop(CASES_TABLE, case.name)
    owner.clock.moment = LONG_AGO
    anew = replace(case, evidence=(), stamps=(), steps=(), links=0, opened_at=LONG_AGO)
    save_case(anew, owner.device, CustodyAct.OPENED, "opened without a trace")
    add_statement(case.name, "an invented one", owner.device)
    stamp_evidence(case.name, own_authority.stamp, owner.device)


def stamper_with_time(at: datetime) -> Callable[[bytes], Stamp]:
    return lambda manifest: Stamp(manifest, b"", at, "http://stamps.test", b"")


def test_stamp_time_more_than_five_minutes_before_the_evidence_is_refused() -> None:
    owner = CaseOwner()
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    with pytest.raises(InvalidTimestamp, match="one of the two clocks is wrong"):
        stamp_evidence(case.name, stamper_with_time(LONG_AGO), owner.device)
    with pytest.raises(InvalidTimestamp):
        stamp_evidence(
            case.name,
            stamper_with_time(START - CLOCK_DIFFERENCE_MAX - timedelta(seconds=1)),
            owner.device,
        )
    assert find_case(case.name, owner.device) == case
    stamped = stamp_evidence(
        case.name, stamper_with_time(START - CLOCK_DIFFERENCE_MAX), owner.device
    )
    assert evidence_level_in_words(stamped.evidence[0], stamped).endswith(
        "stamped 2026-11-25 11:55:00 UTC"
    )


def test_case_waits_for_a_stamp_if_the_stamp_was_not_valid() -> None:
    owner = CaseOwner()
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    with pytest.raises(StampPostponed, match="one of the two clocks is wrong"):
        stamp_evidence_or_postpone(case.name, stamper_with_time(LONG_AGO), owner.device)
    assert find_case(case.name, owner.device).stamp_wanted_at == START
    assert cases_to_stamp(owner.device) == (case.name,)


def refuse_to_stamp(_: bytes) -> Stamp:
    raise StampRefused(url="http://stamps.test", why="HTTP status 503")


def test_case_waits_for_a_stamp_if_the_authority_refused() -> None:
    owner = CaseOwner()
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    with pytest.raises(StampPostponed, match="HTTP status 503"):
        stamp_evidence_or_postpone(case.name, refuse_to_stamp, owner.device)
    assert cases_to_stamp(owner.device) == (case.name,)


def test_stored_stamp_with_an_implausible_time_is_not_shown_and_not_valid() -> None:
    owner = CaseOwner()
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    stamped = stamp_evidence(case.name, stamper_with_time(START), owner.device)
    early = replace(stamped, stamps=(replace(stamped.stamps[0], at=LONG_AGO),))
    save_case(early, owner.device, CustodyAct.CHANGED, "said more about it")
    assert "2020" not in evidence_level_in_words(early.evidence[0], early)
    with pytest.raises(InvalidTimestamp, match="clocks"):
        verify_case(case.name, owner.device)
