"""The index of embeddings follows its store: new ones are found, withdrawn ones are dropped."""

import numpy as np
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.embedding import quantise_embedding
from entrenous.fingerprint.nouns import EMBEDDING_NUMBERS, Embedding
from entrenous.stop.index.memory_indexes import RegisteredEmbeddings
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.bank_store import BankStore
from tests.new_bank import new_bank
from tests.stop.store.bank_stores import ONE, PEOPLE, TWO, claim


def embedding(seed: int) -> Embedding:
    return quantise_embedding(
        np.random.default_rng(seed).normal(size=EMBEDDING_NUMBERS).astype(np.float32)
    )


def mixed_embedding(seed: int, other: int, share: float) -> Embedding:
    vectors = [np.random.default_rng(one).normal(size=EMBEDDING_NUMBERS) for one in (seed, other)]
    return quantise_embedding((vectors[0] + share * vectors[1]).astype(np.float32))


@pytest.fixture
def bank() -> BankStore:
    made = new_bank()
    made.set_bank(Bank(PEOPLE))
    return made


def found(index: RegisteredEmbeddings, *queries: Embedding, at_least: float = 0.5) -> list[str]:
    matches = index.find_similar(queries, [at_least] * len(queries))
    return [f"{one.query} {one.claim}" for one in matches]


def test_new_embeddings_are_found_and_unrelated_ones_are_not(bank: BankStore) -> None:
    index = RegisteredEmbeddings(bank)
    assert found(index, embedding(1)) == []
    bank.register(Registration(claim("a"), (ONE,), embedding=embedding(1)))
    bank.register(Registration(claim("b"), (ONE,), embedding=embedding(1)))
    bank.register(Registration(claim("c"), (TWO,), embedding=embedding(2)))
    assert found(index, embedding(1), embedding(2), embedding(3)) == ["0 a", "0 b", "1 c"]


def test_each_query_has_its_own_bound(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,), embedding=embedding(1)))
    index = RegisteredEmbeddings(bank)
    mixed = mixed_embedding(1, 2, 1.5)  # a cosine of about 0.55
    assert [one.query for one in index.find_similar([mixed] * 3, [0.5, 0.6, -1.0])] == [0, 2]
    (one, *_) = index.find_similar([mixed], [0.5])
    assert one.cosine == pytest.approx(0.55, abs=0.05)
    assert one.entry == bank.entries(0)[0].number


def test_withdrawn_embeddings_leave_memory(bank: BankStore) -> None:
    index = RegisteredEmbeddings(bank)
    for number, name in enumerate("abc"):
        bank.register(Registration(claim(name), (ONE,), embedding=embedding(number)))
    assert len(found(index, embedding(0), at_least=-1.0)) == 3
    bank.apply_event(ClaimId("b"), ClaimEvent.WITHDRAW)
    assert found(index, embedding(1), at_least=-1.0) == ["0 a", "0 c"]
    assert embedding(1).numbers not in index.rows.tobytes()
    bank.register(Registration(claim("d"), (ONE,), embedding=embedding(3)))
    assert found(index, embedding(3)) == ["0 d"]


def test_embeddings_of_another_network_are_not_compared(bank: BankStore) -> None:
    other = Embedding(embedding(1).numbers, "another-network")
    bank.register(Registration(claim("a"), (ONE,), embedding=other))
    assert found(RegisteredEmbeddings(bank), embedding(1)) == []
