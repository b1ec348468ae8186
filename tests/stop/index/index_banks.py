"""Helpers that register hashes in a bank and compare an index with brute force."""

from datetime import UTC, datetime

import numpy as np

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.nouns import Bank
from entrenous.stop.platform import IndexStore
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from tests.stop.index.brute_force import distinct_matches, hash_at_distance, matches_by_brute_force

PEOPLE_BANK = BankName("people")
CLAIM_TIME = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def register_claim(
    bank: BankStore, claim_id: str, *whole: bytes, parts: tuple[bytes, ...] = ()
) -> ClaimId:
    """Register a waiting claim with these hashes of whole pictures and parts; return its id."""
    if not bank.banks():
        bank.set_bank(Bank(PEOPLE_BANK))
    claim = Claim(ClaimId(claim_id), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, CLAIM_TIME)
    bank.register(Registration(claim, whole, parts))
    return claim.id


def random_hashes(count: int, seed: int) -> tuple[bytes, ...]:
    """Return ``count`` random hashes."""
    rng = np.random.default_rng(seed)
    return tuple(rng.bytes(32) for _ in range(count))


def assert_index_equals_brute_force(
    index: IndexStore, bank: BankStore, seed: int = 1, query_count: int = 60
) -> None:
    """Assert that an index and brute force over the bank find the same entries within 31 bits.

    The queries are ``query_count`` hashes that differ from random entries in 0 to 32 bits, and five
    random hashes. The index may also find withdrawn entries.
    """
    rng = np.random.default_rng(seed)
    entries = bank.entries(0)
    there = {entry.number for entry in entries}
    for part in (False, True):
        known = [(one.number, one.bits) for one in entries if one.part is part]
        some = [
            known[int(row)][1] for row in rng.integers(0, len(known) or 1, query_count) if known
        ]
        queries = [hash_at_distance(bits, at % 33, rng) for at, bits in enumerate(some)]
        queries += [rng.bytes(32) for _ in range(5)]
        found = distinct_matches(index.find_near_hashes(queries, part=part))
        expected = matches_by_brute_force(known, queries, 31)
        assert {one for one in found if one[1] in there} == expected
