"""Tests of the chain of custody: recorded acts, and changed, lost, swapped and added links."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from entrenous.base.errors import BadRecord
from entrenous.base.identifiers import CaseName
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.case_file import CUSTODY_ACTOR
from entrenous.respond.custody import (
    CASES_TABLE,
    CUSTODY_LINKS_TABLE,
    ChainBroken,
    CustodyAct,
    CustodyLink,
    custody_chain,
    link_hash,
    verify_chain,
)
from entrenous.respond.evidence import read_evidence, verify_case
from entrenous.respond.nouns import Case, NoSuchCase
from entrenous.respond.open_case import add_file, add_sighting
from tests.respond.case_owner import CaseOwner, make_sighting


@pytest.fixture
def case_name(owner: CaseOwner) -> CaseName:
    """Return the name of a case with four links: opened, sighting added, file stored, file read."""
    case = owner.open_case()
    owner.clock.advance(minutes=1)
    add_sighting(case.name, make_sighting(), owner.device)
    add_file(case.name, b"bytes", "a screenshot", owner.device)
    read_evidence(case.name, 1, "to look at it", owner.device)
    return case.name


def link_keys(owner: CaseOwner) -> list[str]:
    return [key for key, _ in owner.vault.items(CUSTODY_LINKS_TABLE)]


def test_every_act_is_in_the_chain_with_actor_and_purpose(
    owner: CaseOwner, case_name: CaseName
) -> None:
    links = verify_chain(case_name, owner.device)
    assert [one.act for one in links] == [
        CustodyAct.OPENED,
        CustodyAct.CHANGED,
        CustodyAct.STORED,
        CustodyAct.READ,
    ]
    assert {one.actor for one in links} == {CUSTODY_ACTOR}
    assert links[-1].purpose == "to look at it"
    assert links == custody_chain(case_name, owner.device)


def test_reading_is_in_the_chain_but_not_in_the_steps(
    owner: CaseOwner, case_name: CaseName
) -> None:
    record = owner.vault.get(CASES_TABLE, case_name)
    assert record is not None
    assert [step.what for step in unpack(Case, record).steps] == [
        "opened without a trace",
        "noted where a copy was seen",
        "kept item 1: a screenshot",
    ]


@pytest.mark.parametrize("number", range(4))
def test_dropped_link_is_detected(number: int, owner: CaseOwner, case_name: CaseName) -> None:
    owner.vault.drop(CUSTODY_LINKS_TABLE, link_keys(owner)[number])
    with pytest.raises(ChainBroken):
        verify_chain(case_name, owner.device)


def test_two_swapped_links_are_detected(owner: CaseOwner, case_name: CaseName) -> None:
    one, two = link_keys(owner)[1:3]
    first, second = (
        owner.vault.get(CUSTODY_LINKS_TABLE, one),
        owner.vault.get(CUSTODY_LINKS_TABLE, two),
    )
    assert first is not None
    assert second is not None
    owner.vault.put(CUSTODY_LINKS_TABLE, one, second)
    owner.vault.put(CUSTODY_LINKS_TABLE, two, first)
    with pytest.raises(ChainBroken, match="entry 1"):
        verify_chain(case_name, owner.device)


def test_added_link_is_detected(owner: CaseOwner, case_name: CaseName) -> None:
    last = custody_chain(case_name, owner.device)[-1]
    more = replace(last, number=4, previous=last.hash, before=last.after)
    owner.vault.put(
        CUSTODY_LINKS_TABLE, f"{case_name}/{4:010d}", pack(replace(more, hash=link_hash(more)))
    )
    with pytest.raises(ChainBroken, match="a different number of entries"):
        verify_chain(case_name, owner.device)


@pytest.mark.threat("evidence-changed")
@pytest.mark.parametrize("field", [field.name for field in fields(CustodyLink)])
def test_hash_of_a_link_covers_every_field(
    field: str, owner: CaseOwner, case_name: CaseName
) -> None:
    one = custody_chain(case_name, owner.device)[2]
    value = getattr(one, field)
    changed: object
    if isinstance(value, bytes):
        changed = bytes(32)
    elif isinstance(value, int):
        changed = value + 1
    elif isinstance(value, CustodyAct):
        changed = CustodyAct.EXPORTED
    elif isinstance(value, str):
        changed = value + "."
    else:
        changed = value + timedelta(microseconds=1)
    changed_link = replace(one, **{field: changed})  # type: ignore[arg-type]
    owner.vault.put(CUSTODY_LINKS_TABLE, link_keys(owner)[2], pack(changed_link))
    with pytest.raises(ChainBroken, match="entry 2"):
        verify_chain(case_name, owner.device)


def test_link_rewritten_with_a_valid_hash_breaks_the_next_link(
    owner: CaseOwner, case_name: CaseName
) -> None:
    one = replace(custody_chain(case_name, owner.device)[1], purpose="another purpose")
    owner.vault.put(
        CUSTODY_LINKS_TABLE, link_keys(owner)[1], pack(replace(one, hash=link_hash(one)))
    )
    with pytest.raises(ChainBroken, match="entry 2"):
        verify_chain(case_name, owner.device)


def test_case_record_changed_outside_of_its_chain_is_detected(
    owner: CaseOwner, case_name: CaseName
) -> None:
    record = owner.vault.get(CASES_TABLE, case_name)
    assert record is not None
    owner.vault.put(CASES_TABLE, case_name, pack(replace(unpack(Case, record), sightings=())))
    with pytest.raises(ChainBroken, match="changed after the last entry"):
        verify_chain(case_name, owner.device)


def test_case_that_lost_its_last_link_accepts_no_sighting(
    owner: CaseOwner, case_name: CaseName
) -> None:
    owner.vault.drop(CUSTODY_LINKS_TABLE, link_keys(owner)[-1])
    with pytest.raises(ChainBroken, match="missing"):
        add_sighting(case_name, make_sighting(), owner.device)


def test_case_record_under_another_name_is_refused(owner: CaseOwner, case_name: CaseName) -> None:
    record = owner.vault.get(CASES_TABLE, case_name)
    assert record is not None
    owner.vault.put(
        CASES_TABLE,
        case_name,
        pack(replace(unpack(Case, record), name=CaseName("case-2-x-y"))),
    )
    with pytest.raises(BadRecord):
        add_sighting(case_name, make_sighting(), owner.device)
    with pytest.raises(ChainBroken, match="changed after the last entry"):
        verify_case(case_name, owner.device)


def test_chain_of_an_unknown_case_is_an_error(owner: CaseOwner) -> None:
    with pytest.raises(NoSuchCase):
        verify_chain(CaseName("case-9-no-one"), owner.device)


def test_chains_of_cases_are_separate(owner: CaseOwner) -> None:
    first = owner.open_case()
    record = owner.vault.get(CASES_TABLE, first.name)
    assert record is not None
    for _ in range(3):
        owner.open_case()
    assert len(verify_chain(first.name, owner.device)) == 1
