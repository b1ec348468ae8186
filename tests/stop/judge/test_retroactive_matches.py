"""Tests of retroactive matches of pictures: agreement with brute force, and batched reads."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.linear_scan import hashes_as_words
from entrenous.stop.judge import retroactive_matches
from entrenous.stop.judge.look_back import look_back, look_back_for_due_claims
from entrenous.stop.judge.retroactive_matches import (
    SoughtHash,
    StoredUploadHashes,
    hashes_of_reoriented_uploads,
    matching_uploads,
    read_stored_upload_hashes,
)
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.platform_for_tests import GateSetup

FIXED_TIME = datetime(2026, 11, 25, tzinfo=UTC)


def waiting_claim(claim_id: str) -> Claim:
    return Claim(ClaimId(claim_id), PEOPLE_BANK, ClaimState.WAITING, "pdq", 100, FIXED_TIME)


def hash_at_distance(bits: bytes, distance: int, rng: np.random.Generator) -> bytes:
    """Return a hash that differs from ``bits`` at ``distance`` random positions."""
    flipped = np.zeros(256, dtype=np.uint8)
    flipped[rng.permutation(256)[:distance]] = 1
    return bytes(np.frombuffer(bits, dtype=np.uint8) ^ np.packbits(flipped))


def matches_by_brute_force(
    sought: list[SoughtHash], stored: StoredUploadHashes
) -> dict[str, list[tuple[str, int]]]:
    """Return each upload's matching claims with distances, found by comparing every pair."""
    found = dict[str, list[tuple[str, int]]]()
    for case, upload in zip(stored.cases, stored.words, strict=True):
        for one in sought:
            orientations = hashes_as_words(list(hashes_of_reoriented_uploads(one.bits).values()))
            apart = np.bitwise_count(orientations ^ upload).sum(axis=1, dtype=np.int64)
            distance = int(min(*apart, *(256 - apart)))
            if distance <= one.radius:
                found.setdefault(case, []).append((one.claim.id, distance))
    return {case: sorted(matches) for case, matches in found.items()}


@pytest.mark.parametrize("upload_count", [1, 16, 300, 10_500])
@pytest.mark.parametrize("hash_count", [1, 40])
def test_matches_equal_those_of_brute_force(upload_count: int, hash_count: int) -> None:
    rng = np.random.default_rng(upload_count + hash_count)
    sought = [
        SoughtHash(waiting_claim(f"{at}"), rng.bytes(32), 31 - at % 3) for at in range(hash_count)
    ]
    orientations = [list(hashes_of_reoriented_uploads(one.bits).values()) for one in sought]
    bits = [rng.bytes(32) for _ in range(upload_count)]
    for at in range(min(upload_count, 60)):
        turned = hash_at_distance(orientations[at % hash_count][at % 8], at % 36, rng)
        bits[-1 - at] = bytes(255 - one for one in turned) if at % 5 == 0 else turned
    stored = StoredUploadHashes([f"case {at}" for at in range(upload_count)], hashes_as_words(bits))
    # The uploads before the last 60 are random, so they match no hash.
    near_uploads = StoredUploadHashes(stored.cases[-60:], stored.words[-60:])
    found = list(matching_uploads(sought, stored))
    distances = {one.case: sorted((m.claim, m.distance) for m in one.matches) for one in found}
    assert distances == matches_by_brute_force(sought, near_uploads)
    for one in found:
        first = min(one.matches, key=lambda match: match.distance)
        assert one.matches[0].distance == first.distance
        assert one.nearest == sought[int(one.matches[0].claim)].bits


def test_no_hashes_give_no_matches() -> None:
    stored = StoredUploadHashes(["a"], hashes_as_words([bytes(32)]))
    assert list(matching_uploads([], stored)) == []


def test_claim_with_several_hashes_gives_one_match_by_the_nearest() -> None:
    rng = np.random.default_rng(5)
    upload = rng.bytes(32)
    sought = [
        SoughtHash(waiting_claim("a"), hash_at_distance(upload, apart, rng), 31)
        for apart in (20, 4, 30)
    ]
    (found,) = matching_uploads(sought, StoredUploadHashes(["case"], hashes_as_words([upload])))
    assert [match.distance for match in found.matches] == [4]
    assert found.nearest == sought[1].bits


def test_stored_uploads_are_read_in_batches(
    gate_setup: GateSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retroactive_matches, "_PICTURES_PER_READ", 3)
    monkeypatch.setattr(retroactive_matches, "_UPLOADS_PER_INDEX", 5)
    _record_accepted_uploads(gate_setup, [bytes([at]) * 32 for at in range(14)])
    pieces = list(read_stored_upload_hashes(gate_setup.platform.reviews))
    assert [len(piece.cases) for piece in pieces] == [6, 6, 2]
    assert [case for piece in pieces for case in piece.cases] == [f"{at:03}" for at in range(14)]
    assert [row.tobytes()[0] for piece in pieces for row in piece.words] == list(range(14))


@pytest.mark.slow
def test_accepted_uploads_are_read_once_per_thousand_claims(gate_setup: GateSetup) -> None:
    rng = np.random.default_rng(6)
    hashes = [rng.bytes(32) for _ in range(2500)]
    _record_accepted_uploads(
        gate_setup, [hash_at_distance(hashes[at], 10, rng) for at in (0, 1234, 2499)]
    )
    gate_setup.platform.bank.register(
        *(
            Registration(waiting_claim(f"{at:04}"), (bits,), looks_back=True)
            for at, bits in enumerate(hashes)
        )
    )
    reads = list[int]()
    read = gate_setup.platform.reviews.stored_picture_hashes

    class CountingQueue:
        def __getattr__(self, name: str) -> object:
            return getattr(gate_setup.platform.reviews, name)

        def stored_picture_hashes(self, after: int, limit: int) -> object:
            reads.append(after)
            return read(after, limit)

    platform = replace(gate_setup.platform, reviews=CountingQueue())  # type: ignore[arg-type]
    assert [look_back_for_due_claims(platform) for _ in range(4)] == [1000, 1000, 500, 0]
    assert reads.count(0) == 3
    assert gate_setup.platform.reviews.count_waiting_items() == 3
    assert look_back([ClaimId("0000")], platform) == 0


def _record_accepted_uploads(gate_setup: GateSetup, hashes: list[bytes]) -> None:
    for at, bits in enumerate(hashes):
        decision = Decision(Outcome.LET_THROUGH, f"{at:03}")
        gate_setup.platform.reviews.record_upload(
            Review(decision, FIXED_TIME, ReviewState.CLOSED, bits), None
        )
