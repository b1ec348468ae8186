"""Tests of BankStore on SQLite and PostgreSQL: numbered changes, partners and opinions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.registration import (
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    NoSuchPartner,
    Opinion,
    Partner,
    Registration,
    Stance,
)
from entrenous.stop.store.bank_store import BankStore
from tests.stop.store.bank_stores import HASH_1, HASH_2, HASH_3, START_TIME, Stores, claim

PARTNER_KEY, OTHER_PARTNER_KEY = b"\x11" * 32, b"\x22" * 32
CLAIM_A, CLAIM_B = ClaimId("a"), ClaimId("b")
WITHDRAW = ClaimEvent.WITHDRAW


@pytest.fixture
def bank(gate: Stores) -> BankStore:
    return gate.bank


def change_tuples(
    bank: BankStore, after: int = 0
) -> list[tuple[int, str, ClaimState, tuple[bytes, ...]]]:
    changes = bank.changes(after, 100)
    return [(one.number, one.claim, one.state, one.hashes) for one in changes]


def test_every_change_has_a_new_number(bank: BankStore) -> None:
    bank.register(
        Registration(claim("a"), (HASH_1,), (HASH_3,)), Registration(claim("b"), (HASH_2,))
    )
    assert change_tuples(bank) == [
        (1, "a", ClaimState.WAITING, (HASH_1,)),
        (2, "b", ClaimState.WAITING, (HASH_2,)),
    ]
    bank.apply_event(CLAIM_A, ClaimEvent.CONFIRM)
    assert change_tuples(bank, 2) == [(3, "a", ClaimState.CONFIRMED, (HASH_1,))]
    bank.add_upload_hashes([CLAIM_A], HASH_2, confirmed=True)
    assert change_tuples(bank, 3) == [(4, "a", ClaimState.CONFIRMED, (HASH_1, HASH_2))]
    bank.apply_event(CLAIM_B, ClaimEvent.SUSPEND)
    bank.apply_event(CLAIM_B, ClaimEvent.SUSPEND)  # already suspended, so nothing changes
    assert [(number, name) for number, name, *_ in change_tuples(bank)] == [(4, "a"), (5, "b")]
    assert [one.number for one in bank.changes(0, 1)] == [4]


def test_claim_has_the_number_of_the_change_that_last_confirmed_it(bank: BankStore) -> None:
    listed = replace(claim("b"), state=ClaimState.CONFIRMED)
    bank.register(Registration(claim("a"), (HASH_1,)), Registration(listed, (HASH_1,)))
    assert (bank.claim(CLAIM_A).confirmed, bank.claim(CLAIM_B).confirmed) == (0, 2)
    assert (
        bank.apply_event(CLAIM_A, ClaimEvent.CONFIRM).confirmed
        == bank.claim(CLAIM_A).confirmed
        == 3
    )
    bank.add_upload_hashes([CLAIM_A], HASH_2, confirmed=True)
    (entry,) = [one.number for one in bank.entries(0) if one.bits == HASH_1]
    assert {of.id: of.confirmed for _, of in bank.claims_on_pictures({entry})} == {"a": 3, "b": 2}
    bank.apply_event(CLAIM_A, ClaimEvent.SUSPEND)
    bank.apply_event_to_all(ClaimEvent.CONFIRM, CLAIM_B, CLAIM_A)
    assert (bank.claim(CLAIM_A).confirmed, bank.claim(CLAIM_B).confirmed) == (7, 6)


def test_change_has_bank_kind_and_time(gate: Stores) -> None:
    gate.bank.set_bank(Bank(BankName("list")))
    gate.bank.register(Registration(claim("a"), (HASH_1,)))
    gate.clock.advance(hours=1)
    gate.bank.apply_event(CLAIM_A, WITHDRAW)
    (change,) = gate.bank.changes(0, 10)
    assert (change.bank, change.kind, change.at) == (
        "people",
        "pdq",
        START_TIME + timedelta(hours=1),
    )


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_is_listed_without_hashes(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_2, HASH_1)), Registration(claim("b"), (HASH_1,)))
    bank.apply_event(CLAIM_A, WITHDRAW)
    bank.apply_event(CLAIM_A, WITHDRAW)  # already withdrawn, so nothing changes
    assert change_tuples(bank, 2) == [(3, "a", ClaimState.WITHDRAWN, ())]
    assert change_tuples(bank)[0] == (2, "b", ClaimState.WAITING, (HASH_1,))


def test_partner_can_be_renamed(bank: BankStore) -> None:
    bank.add_partner(Partner("one", PARTNER_KEY))
    bank.add_partner(Partner("two", OTHER_PARTNER_KEY))
    bank.add_partner(Partner("zwei", PARTNER_KEY))
    assert bank.partners() == (Partner("two", OTHER_PARTNER_KEY), Partner("zwei", PARTNER_KEY))


def opinion(stance: Stance, key: bytes = PARTNER_KEY, **delay: float) -> Opinion:
    return Opinion(CLAIM_A, stance, START_TIME.replace(microsecond=0) + timedelta(**delay), key)


def test_newest_opinion_of_each_key_counts(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    for name, key in (("one", PARTNER_KEY), ("two", OTHER_PARTNER_KEY)):
        bank.add_partner(Partner(name, key))
    first, newer = opinion(Stance.DISPUTED), opinion(Stance.CONFIRMED, days=2)
    assert bank.record_opinion(first) == (first,)
    assert bank.record_opinion(newer) == (newer,)
    assert bank.record_opinion(opinion(Stance.NOT_INTIMATE, days=1)) == (newer,)
    other = opinion(Stance.DISPUTED, OTHER_PARTNER_KEY, days=3)
    assert bank.record_opinion(other) == (newer, other)
    assert bank.opinions(CLAIM_A) == (newer, other)
    assert bank.opinions(CLAIM_B) == ()


def test_opinion_and_its_effect_are_one_transaction(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    bank.add_partner(Partner("one", PARTNER_KEY))
    before = bank.audit_log_head()
    seen: list[tuple[Opinion, ...]] = []

    def suspend_then_fail(_before: tuple[Opinion, ...], store: BankStore) -> None:
        store.apply_event(CLAIM_A, ClaimEvent.SUSPEND)
        raise BankUnreachable(why="busy")

    def suspend(earlier: tuple[Opinion, ...], store: BankStore) -> None:
        seen.extend((earlier, store.opinions(CLAIM_A)))
        store.apply_event(CLAIM_A, ClaimEvent.SUSPEND)

    first = opinion(Stance.DISPUTED)
    with pytest.raises(BankUnreachable):
        bank.record_opinion(first, suspend_then_fail)
    assert (bank.opinions(CLAIM_A), bank.audit_log_head()) == ((), before)
    assert bank.claim(CLAIM_A).state is ClaimState.WAITING
    assert bank.record_opinion(first, suspend) == (first,)
    assert seen == [(), (first,)]
    assert bank.claim(CLAIM_A).state is ClaimState.SUSPENDED


def test_opinions_need_a_known_partner_and_claim(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    with pytest.raises(NoSuchPartner):
        bank.record_opinion(opinion(Stance.DISPUTED))
    bank.add_partner(Partner("one", PARTNER_KEY))
    with pytest.raises(NoSuchClaim):
        bank.record_opinion(Opinion(CLAIM_B, Stance.DISPUTED, START_TIME, PARTNER_KEY))
    with pytest.raises(NoSuchPartner):
        bank.drop_partner(OTHER_PARTNER_KEY)


def test_claim_facts_count_opinions_by_stance(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)), Registration(claim("b"), (HASH_2,)))
    for key, stance in ((PARTNER_KEY, Stance.CONFIRMED), (OTHER_PARTNER_KEY, Stance.DISPUTED)):
        bank.add_partner(Partner("one", key))
        bank.record_opinion(Opinion(CLAIM_A, stance, START_TIME, key))
    bank.record_opinion(
        Opinion(CLAIM_A, Stance.CONFIRMED, START_TIME + timedelta(hours=1), OTHER_PARTNER_KEY)
    )
    bank.apply_event(CLAIM_B, WITHDRAW)
    facts = bank.claim_facts([CLAIM_A, CLAIM_B, CLAIM_A, ClaimId("none")])
    assert set(facts) == {CLAIM_A, CLAIM_B}
    assert facts[CLAIM_A].claim == bank.claim(CLAIM_A)
    assert dict(facts[CLAIM_A].opinions) == {Stance.CONFIRMED: 2}
    assert (facts[CLAIM_B].claim.state, dict(facts[CLAIM_B].opinions)) == (ClaimState.WITHDRAWN, {})
    assert bank.claim_facts([]) == {}
