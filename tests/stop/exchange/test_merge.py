"""Merging fetched records into claims: order, repetition, generations
(docs/spec/exchange.md, 6.5), withdrawals and keys.
"""

from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import ClaimId
from entrenous.stop.exchange_fetch import merge_records, record_key_sha256
from entrenous.stop.exchange_nouns import KnownRecord, SourceRecord
from tests.stop.exchange.exchange_for_tests import fake_hash

RECORD_STRATEGY = st.builds(
    SourceRecord,
    st.sampled_from("abcd"),
    st.integers(0, 3),
    st.lists(st.integers(0, 3).map(fake_hash), max_size=2, unique=True).map(tuple),
)
PAGES_STRATEGY = st.lists(st.lists(RECORD_STRATEGY, max_size=4), max_size=5)


class MemoryBank:
    """Claims and known records in memory, to which the results of ``merge_records`` are applied."""

    def __init__(self) -> None:
        self.claims = dict[ClaimId, tuple[bytes, ...]]()
        self.known = dict[bytes, KnownRecord]()

    def apply_page(self, page: Iterable[SourceRecord], generation: int = 1) -> None:
        merged = merge_records("source", generation, page, self.known)
        for claim, hashes in merged.to_make.items():
            self.claims.setdefault(claim, hashes)
        for claim in merged.to_withdraw:
            del self.claims[claim]
        self.known |= {one.key_sha256: one for one in merged.known}

    def protected_hashes(self) -> list[tuple[bytes, ...]]:
        return sorted(tuple(sorted(hashes)) for hashes in self.claims.values())


def hashes_after(pages: Iterable[Iterable[SourceRecord]]) -> list[tuple[bytes, ...]]:
    bank = MemoryBank()
    for page in pages:
        bank.apply_page(page)
    return bank.protected_hashes()


def expected_hashes(pages: Sequence[Sequence[SourceRecord]]) -> list[tuple[bytes, ...]]:
    """Return the hashes of each key's highest-ranked record; a withdrawal has no hashes."""
    best = dict[str, SourceRecord]()
    for record in (record for page in pages for record in page):
        best[record.key] = max(best.get(record.key, record), record, key=_rank)
    return sorted(tuple(sorted(one.hashes)) for one in best.values() if one.hashes)


def _rank(record: SourceRecord) -> tuple[int, bool, bytes]:
    import hashlib

    return (
        record.version,
        record.is_withdrawal,
        hashlib.sha256(b"".join(sorted(set(record.hashes)))).digest(),
    )


@given(PAGES_STRATEGY, st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_repetition_of_pages_do_not_matter(
    pages: list[list[SourceRecord]], rng: Random, repetitions: int
) -> None:
    shuffled = pages * repetitions
    rng.shuffle(shuffled)
    assert hashes_after(shuffled) == hashes_after(pages) == expected_hashes(pages)


@given(PAGES_STRATEGY)
def test_repeated_record_changes_nothing(pages: list[list[SourceRecord]]) -> None:
    bank = MemoryBank()
    for page in pages:
        bank.apply_page(page)
    for page in pages:
        again = merge_records("source", 1, page, bank.known)
        assert (dict(again.to_make), again.to_withdraw, again.known) == ({}, (), ())


def test_record_of_a_later_generation_wins_over_a_higher_version() -> None:
    bank = MemoryBank()
    bank.apply_page([SourceRecord("a", 90)], generation=1)
    bank.apply_page([SourceRecord("a", 5, (fake_hash(1),))], generation=2)
    assert bank.protected_hashes() == [(fake_hash(1),)]


def test_record_with_the_same_hashes_keeps_its_claim() -> None:
    bank = MemoryBank()
    bank.apply_page([SourceRecord("a", 1, (fake_hash(1), fake_hash(2)))])
    before = set(bank.claims)
    bank.apply_page([SourceRecord("a", 2, (fake_hash(2), fake_hash(1)))])
    assert set(bank.claims) == before
    bank.apply_page([SourceRecord("a", 3, (fake_hash(2),))])
    assert len(bank.claims) == 1
    assert set(bank.claims) != before


def test_record_added_and_withdrawn_in_one_page_makes_no_claim() -> None:
    merged = merge_records(
        "source", 1, [SourceRecord("a", 1, (fake_hash(1),)), SourceRecord("a", 2)], {}
    )
    assert (dict(merged.to_make), merged.to_withdraw) == ({}, ())
    assert merged.known[0].claim is None


def test_known_records_contain_no_plain_hash() -> None:
    merged = merge_records("source", 1, [SourceRecord(fake_hash(1).hex(), 1, (fake_hash(1),))], {})
    stored = repr(merged.known)
    assert fake_hash(1).hex() not in stored
    assert merged.known[0].key_sha256 == record_key_sha256(fake_hash(1).hex())


def test_two_sources_make_two_claims_of_one_hash() -> None:
    record = SourceRecord("a", 1, (fake_hash(1),))
    assert (
        not merge_records("one", 1, [record], {}).to_make.keys()
        & merge_records("two", 1, [record], {}).to_make.keys()
    )


def test_withdrawal_wins_over_hashes_of_the_same_version() -> None:
    for number in range(40):
        pages = [[SourceRecord("a", 1)], [SourceRecord("a", 1, (fake_hash(number),))]]
        assert hashes_after(pages) == hashes_after(pages[::-1]) == []
