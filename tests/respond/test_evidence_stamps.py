"""Tests of stamping, verifying and reading evidence, and of texts that say what is proven."""

import re
from dataclasses import replace

import pytest

from entrenous.base.errors import InvalidTimestamp
from entrenous.respond.case_file import find_case, save_case
from entrenous.respond.client.stamp_authority import HttpTimestampAuthority, verify_stamp
from entrenous.respond.custody import CustodyAct, verify_chain
from entrenous.respond.evidence import (
    AuthorityUnreachable,
    EvidenceChanged,
    NothingToStamp,
    evidence_commitment,
    evidence_level_in_words,
    item_history_in_words,
    make_manifest,
    read_evidence,
    stamp_evidence,
    verify_case,
)
from entrenous.respond.manifest_format import read_manifest
from entrenous.respond.nouns import Case, NoSuchCaseEntry, Stamp
from entrenous.respond.open_case import add_file, add_statement
from tests.respond.case_owner import CaseOwner, owner_at_current_time

pytestmark = pytest.mark.real  # runs openssl, but sends nothing


@pytest.fixture
def owner() -> CaseOwner:
    return owner_at_current_time()


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    opened = owner.open_case()
    add_file(opened.name, b"a screenshot's bytes", "a screenshot", owner.device)
    return add_statement(opened.name, "seen on Monday", owner.device)


def test_stamp_is_stored_and_valid(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    assert len(stamped.stamps) == 1
    assert verify_case(case.name, owner.device, verify_stamp) == stamped
    assert verify_chain(case.name, owner.device)[-1].act is CustodyAct.STAMPED


def test_manifest_reveals_no_evidence_and_names_the_chain_head(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    head = verify_chain(case.name, owner.device)[-1].hash
    data = stamp_evidence(case.name, authority.stamp, owner.device).stamps[0].manifest
    for item in case.evidence:
        assert item.sha256.hex() not in data.decode()
        assert item.what not in data.decode()
        assert item.salt.reveal().hex() not in data.decode()
    manifest = read_manifest(data)
    assert manifest.custody_head == head
    assert manifest.items[0].commitment == evidence_commitment(
        case.evidence[0].salt, b"a screenshot's bytes"
    )


def test_commitments_to_the_same_bytes_differ(owner: CaseOwner, case: Case) -> None:
    again = add_file(case.name, b"a screenshot's bytes", "again", owner.device)
    lines = make_manifest(again, owner.device).items
    assert len({line.commitment for line in lines}) == 3


def test_level_text_says_what_is_proven_and_since_when(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    assert evidence_level_in_words(case.evidence[0], case).endswith("not stamped yet")
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    later = add_statement(case.name, "and on Tuesday", owner.device)
    text = evidence_level_in_words(stamped.evidence[0], later)
    assert text.startswith("A1, the person's own screenshot or file: unchanged since")
    assert f"{stamped.stamps[0].at:%Y-%m-%d %H:%M:%S}" in text
    assert evidence_level_in_words(later.evidence[2], later).endswith("not stamped yet")


def test_history_of_an_item_says_what_is_proven_without_codes(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    text = item_history_in_words(case.evidence[0], case)
    assert text.startswith("Kept ")
    assert text.endswith(
        "Unchanged since then. You added it yourself. No outside proof of time yet."
    )
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    later = item_history_in_words(stamped.evidence[0], stamped)
    assert "An outside service confirms that it existed on" in later
    assert not re.search(r"A[0-4]|hash", text + later)


@pytest.mark.threat("evidence-changed")
def test_changed_item_is_not_verified_stamped_or_read(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    stamp_evidence(case.name, authority.stamp, owner.device)
    owner.vault._files[case.evidence[0].blob] = b"A screenshot's bytes"
    with pytest.raises(EvidenceChanged, match="Item 1"):
        verify_case(case.name, owner.device)
    with pytest.raises(EvidenceChanged):
        stamp_evidence(case.name, authority.stamp, owner.device)
    with pytest.raises(EvidenceChanged):
        read_evidence(case.name, 1, "look", owner.device)


def test_stamp_of_another_case_is_detected(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    other = owner_at_current_time()
    elsewhere = add_file(other.open_case().name, b"other", "other", other.device)
    foreign = stamp_evidence(elsewhere.name, authority.stamp, other.device).stamps[0]
    replace_stamps(owner, stamped, foreign)
    with pytest.raises(InvalidTimestamp, match="another chain"):
        verify_case(case.name, owner.device)


def test_stamp_with_the_token_of_another_manifest_is_detected(
    owner: CaseOwner, case: Case, authority: HttpTimestampAuthority
) -> None:
    stamp_evidence(case.name, authority.stamp, owner.device)
    stamped = stamp_evidence(case.name, authority.stamp, owner.device)
    first, second = stamped.stamps
    replace_stamps(
        owner, replace(stamped, stamps=(second,)), replace(first, manifest=second.manifest)
    )
    verify_case(case.name, owner.device)  # without verify_stamp, tokens are not checked
    with pytest.raises(InvalidTimestamp, match="other data"):
        verify_case(case.name, owner.device, verify_stamp)


def replace_stamps(owner: CaseOwner, case: Case, stamp: Stamp) -> None:
    """Replace the stamps and extend the chain, as an attacker with the whole vault could."""
    forged = replace(find_case(case.name, owner.device), stamps=(stamp,))
    save_case(forged, owner.device, CustodyAct.CHANGED, "swapped")


def test_case_without_evidence_cannot_be_stamped(
    owner: CaseOwner, authority: HttpTimestampAuthority
) -> None:
    with pytest.raises(NothingToStamp):
        stamp_evidence(owner.open_case().name, authority.stamp, owner.device)


def _fail_as_unreachable(_: bytes) -> Stamp:
    raise AuthorityUnreachable(url="http://stamps.test")


def test_unreachable_authority_changes_nothing(owner: CaseOwner, case: Case) -> None:
    with pytest.raises(AuthorityUnreachable, match=r"no\snew\sstamp"):
        stamp_evidence(case.name, _fail_as_unreachable, owner.device)
    assert find_case(case.name, owner.device) == case


def test_reading_returns_the_bytes_and_is_recorded(owner: CaseOwner, case: Case) -> None:
    data = read_evidence(case.name, 1, "for the court", owner.device, CustodyAct.EXPORTED)
    assert data == b"a screenshot's bytes"
    link = verify_chain(case.name, owner.device)[-1]
    assert (link.act, link.purpose, link.item) == (CustodyAct.EXPORTED, "for the court", 1)
    with pytest.raises(NoSuchCaseEntry, match="no item number 9"):
        read_evidence(case.name, 9, "look", owner.device)
