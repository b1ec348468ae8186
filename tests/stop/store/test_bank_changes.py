"""BankStore: opinions, partners, and the order of changes, on each database."""

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
from tests.stop.store.bank_stores import AT, ONE, THREE, TWO, Stores, claim

KEY, OTHER = b"\x11" * 32, b"\x22" * 32
A, B = ClaimId("a"), ClaimId("b")
WITHDRAW = ClaimEvent.WITHDRAW


@pytest.fixture
def bank(gate: Stores) -> BankStore:
    return gate.bank


def changes_after(
    bank: BankStore, after: int = 0
) -> list[tuple[int, str, ClaimState, tuple[bytes, ...]]]:
    changes = bank.changes(after, 100)
    return [(one.number, one.claim, one.state, one.hashes) for one in changes]


def test_every_change_has_a_new_number(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,), (THREE,)), Registration(claim("b"), (TWO,)))
    assert changes_after(bank) == [
        (1, "a", ClaimState.WAITING, (ONE,)),
        (2, "b", ClaimState.WAITING, (TWO,)),
    ]
    bank.apply_event(A, ClaimEvent.CONFIRM)
    assert changes_after(bank, 2) == [(3, "a", ClaimState.CONFIRMED, (ONE,))]
    bank.apply_event(A, ClaimEvent.CONFIRM)  # confirmed already: no change
    bank.add_upload_hashes([A], TWO, confirmed=True)
    assert changes_after(bank, 3) == [(4, "a", ClaimState.CONFIRMED, (ONE, TWO))]
    bank.apply_event(B, ClaimEvent.SUSPEND)
    assert [(number, name) for number, name, *_ in changes_after(bank)] == [(4, "a"), (5, "b")]
    assert [one.number for one in bank.changes(0, 1)] == [4]


def test_claim_has_the_number_of_the_change_that_confirmed_it(bank: BankStore) -> None:
    listed = replace(claim("b"), state=ClaimState.CONFIRMED)
    bank.register(Registration(claim("a"), (ONE,)), Registration(listed, (ONE,)))
    assert (bank.claim(A).confirmed, bank.claim(B).confirmed) == (0, 2)
    assert bank.apply_event(A, ClaimEvent.CONFIRM).confirmed == bank.claim(A).confirmed == 3
    bank.add_upload_hashes([A], TWO, confirmed=True)
    bank.apply_event(A, ClaimEvent.CONFIRM)  # confirmed already: no change
    (entry,) = [one.number for one in bank.entries(0) if one.bits == ONE]
    assert {of.id: of.confirmed for _, of in bank.claims_on_pictures({entry})} == {"a": 3, "b": 2}
    bank.apply_event(A, ClaimEvent.SUSPEND)
    bank.apply_event_to_all(ClaimEvent.CONFIRM, B, A)
    assert (bank.claim(A).confirmed, bank.claim(B).confirmed) == (6, 2)


def test_change_has_bank_kind_and_time(gate: Stores) -> None:
    gate.bank.set_bank(Bank(BankName("list")))
    gate.bank.register(Registration(claim("a"), (ONE,)))
    gate.clock.advance(hours=1)
    gate.bank.apply_event(A, WITHDRAW)
    (change,) = gate.bank.changes(0, 10)
    assert (change.bank, change.kind, change.at) == ("people", "pdq", AT + timedelta(hours=1))


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_is_listed_without_hashes(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (TWO, ONE)), Registration(claim("b"), (ONE,)))
    bank.apply_event(A, WITHDRAW)
    bank.apply_event(A, WITHDRAW)  # withdrawn already: no change
    assert changes_after(bank, 2) == [(3, "a", ClaimState.WITHDRAWN, ())]
    assert changes_after(bank)[0] == (2, "b", ClaimState.WAITING, (ONE,))


def test_partner_can_be_renamed(bank: BankStore) -> None:
    bank.add_partner(Partner("one", KEY))
    bank.add_partner(Partner("two", OTHER))
    bank.add_partner(Partner("zwei", KEY))
    assert bank.partners() == (Partner("two", OTHER), Partner("zwei", KEY))


def opinion(stance: Stance, key: bytes = KEY, **later: float) -> Opinion:
    return Opinion(A, stance, AT.replace(microsecond=0) + timedelta(**later), key)


def test_newest_opinion_of_each_key_counts(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    for name, key in (("one", KEY), ("two", OTHER)):
        bank.add_partner(Partner(name, key))
    first, newer = opinion(Stance.DISPUTED), opinion(Stance.CONFIRMED, days=2)
    assert bank.record_opinion(first) == (first,)
    assert bank.record_opinion(newer) == (newer,)
    assert bank.record_opinion(opinion(Stance.NOT_INTIMATE, days=1)) == (newer,)
    other = opinion(Stance.DISPUTED, OTHER, days=3)
    assert bank.record_opinion(other) == (newer, other)
    assert bank.opinions(A) == (newer, other)
    assert bank.opinions(B) == ()


def test_opinion_and_its_effect_are_one_transaction(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    bank.add_partner(Partner("one", KEY))
    before = bank.audit_log_head()
    seen: list[tuple[Opinion, ...]] = []

    def suspend_then_fail(_before: tuple[Opinion, ...], store: BankStore) -> None:
        store.apply_event(A, ClaimEvent.SUSPEND)
        raise BankUnreachable(why="busy")

    def suspend(earlier: tuple[Opinion, ...], store: BankStore) -> None:
        seen.extend((earlier, store.opinions(A)))
        store.apply_event(A, ClaimEvent.SUSPEND)

    first = opinion(Stance.DISPUTED)
    with pytest.raises(BankUnreachable):
        bank.record_opinion(first, suspend_then_fail)
    assert (bank.opinions(A), bank.audit_log_head()) == ((), before)
    assert bank.claim(A).state is ClaimState.WAITING
    assert bank.record_opinion(first, suspend) == (first,)
    assert seen == [(), (first,)]
    assert bank.claim(A).state is ClaimState.SUSPENDED


def test_opinions_need_a_known_partner_and_claim(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    with pytest.raises(NoSuchPartner):
        bank.record_opinion(opinion(Stance.DISPUTED))
    bank.add_partner(Partner("one", KEY))
    with pytest.raises(NoSuchClaim):
        bank.record_opinion(Opinion(B, Stance.DISPUTED, AT, KEY))
    with pytest.raises(NoSuchPartner):
        bank.drop_partner(OTHER)


def test_facts_count_opinions_by_stance(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)), Registration(claim("b"), (TWO,)))
    for key, stance in ((KEY, Stance.CONFIRMED), (OTHER, Stance.DISPUTED)):
        bank.add_partner(Partner("one", key))
        bank.record_opinion(Opinion(A, stance, AT, key))
    bank.record_opinion(Opinion(A, Stance.CONFIRMED, AT + timedelta(hours=1), OTHER))
    bank.apply_event(B, WITHDRAW)
    facts = bank.claim_facts([A, B, A, ClaimId("none")])
    assert set(facts) == {A, B}
    assert facts[A].claim == bank.claim(A)
    assert dict(facts[A].opinions) == {Stance.CONFIRMED: 2}
    assert (facts[B].claim.state, dict(facts[B].opinions)) == (ClaimState.WITHDRAWN, {})
    assert bank.claim_facts([]) == {}
