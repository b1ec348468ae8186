"""Tests of RegisteredEmbeddings: new and withdrawn ones, thresholds, and other neural networks."""

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
from tests.stop.store.bank_stores import HASH_1, HASH_2, PEOPLE, claim


def embedding(seed: int) -> Embedding:
    return quantise_embedding(
        np.random.default_rng(seed).normal(size=EMBEDDING_NUMBERS).astype(np.float32)
    )


def mixed_embedding(seed: int, other_seed: int, weight: float) -> Embedding:
    vectors = [
        np.random.default_rng(one).normal(size=EMBEDDING_NUMBERS) for one in (seed, other_seed)
    ]
    return quantise_embedding((vectors[0] + weight * vectors[1]).astype(np.float32))


@pytest.fixture
def bank() -> BankStore:
    made = new_bank()
    made.set_bank(Bank(PEOPLE))
    return made


def matching_claims(
    index: RegisteredEmbeddings, *queries: Embedding, cosine_min: float = 0.5
) -> list[str]:
    matches = index.find_similar(queries, [cosine_min] * len(queries))
    return [f"{one.query} {one.claim}" for one in matches]


def test_new_embeddings_are_found_and_unrelated_ones_are_not(bank: BankStore) -> None:
    index = RegisteredEmbeddings(bank)
    assert matching_claims(index, embedding(1)) == []
    bank.register(Registration(claim("a"), (HASH_1,), embedding=embedding(1)))
    bank.register(Registration(claim("b"), (HASH_1,), embedding=embedding(1)))
    bank.register(Registration(claim("c"), (HASH_2,), embedding=embedding(2)))
    assert matching_claims(index, embedding(1), embedding(2), embedding(3)) == ["0 a", "0 b", "1 c"]


def test_each_query_has_its_own_cosine_threshold(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,), embedding=embedding(1)))
    index = RegisteredEmbeddings(bank)
    mixed = mixed_embedding(1, 2, 1.5)  # its cosine with embedding(1) is about 0.55
    assert [one.query for one in index.find_similar([mixed] * 3, [0.5, 0.6, -1.0])] == [0, 2]
    (one, *_) = index.find_similar([mixed], [0.5])
    assert one.cosine == pytest.approx(0.55, abs=0.05)
    assert one.entry == bank.entries(0)[0].number


def test_withdrawn_embeddings_leave_memory(bank: BankStore) -> None:
    index = RegisteredEmbeddings(bank)
    for number, name in enumerate("abc"):
        bank.register(Registration(claim(name), (HASH_1,), embedding=embedding(number)))
    assert len(matching_claims(index, embedding(0), cosine_min=-1.0)) == 3
    bank.apply_event(ClaimId("b"), ClaimEvent.WITHDRAW)
    assert matching_claims(index, embedding(1), cosine_min=-1.0) == ["0 a", "0 c"]
    assert embedding(1).numbers not in index.rows.tobytes()
    bank.register(Registration(claim("d"), (HASH_1,), embedding=embedding(3)))
    assert matching_claims(index, embedding(3)) == ["0 d"]


def test_embeddings_of_another_network_are_not_compared(bank: BankStore) -> None:
    other_model_embedding = Embedding(embedding(1).numbers, "another-network")
    bank.register(Registration(claim("a"), (HASH_1,), embedding=other_model_embedding))
    assert matching_claims(RegisteredEmbeddings(bank), embedding(1)) == []
