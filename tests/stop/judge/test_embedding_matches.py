"""Look-alikes of claims with an embedding match as parts, if the gate has a network."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.device.device import Device
from entrenous.fingerprint.embedding import resize_to_square
from entrenous.fingerprint.nouns import (
    EMBEDDING_MODEL,
    Embedding,
    EmbeddingModelMissing,
    PlatformTakesNoEmbedding,
)
from entrenous.stop.index.memory_indexes import RegisteredEmbeddings
from entrenous.stop.judge.deferred_scan import (
    best_deferred_hits,
    cosine_thresholds_of_squares,
    cosine_to_angle_units,
    find_lookalike_hits,
)
from entrenous.stop.platform import EmbeddingComparison
from entrenous.stop.protect import fingerprint_picture, register_fingerprints
from entrenous.stop.register import accepted_embedding_model
from entrenous.stop.registration import ClaimEvent, Consent, Protection
from tests.embedder import FineEmbedder
from tests.stop.platform_for_tests import InProcessGate, Room, picture

pytestmark = pytest.mark.slow

AGREED = Consent(adult=True, parts=False, embedding=True)


@pytest.fixture(scope="module")
def her_picture() -> Any:
    """Return a picture of 512 x 512 pixels, since the network is given windows of it."""
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def other_picture() -> Any:
    return skimage.data.coffee()


@pytest.fixture
def room(room: Room) -> Room:
    """Give the platform and the device an embedding network."""
    comparison = EmbeddingComparison(FineEmbedder(), RegisteredEmbeddings(room.bank))
    room.platform = replace(room.platform, embedding_comparison=comparison)
    room.gate = InProcessGate(room.platform)
    room.device = replace(room.device, embedder=FineEmbedder())
    return room


def register(pixels: Any, room: Room, consent: Consent = AGREED) -> Protection:
    return register_fingerprints(
        fingerprint_picture(picture(pixels), consent, room.device), room.gate, room.device
    )


def lit_by(other: Any, pixels: Any) -> Any:
    """Combine one picture's fine structure with another's light, which changes any hash."""
    light = cv2.GaussianBlur(cv2.resize(other, pixels.shape[1::-1]), (0, 0), 20.0)
    fine = pixels - cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 20.0)
    return np.clip(light + fine, 0, 255).astype(np.uint8)


def comparison_of(room: Room) -> EmbeddingComparison:
    assert room.platform.embedding_comparison is not None
    return room.platform.embedding_comparison


def test_look_alike_upload_is_found_as_a_part(room: Room, her_picture: Any) -> None:
    protection = register(her_picture, room)
    upload = picture(cv2.resize(her_picture, (300, 400)))
    ((entry, (match, claim)), *_) = find_lookalike_hits(upload, comparison_of(room), room.bank)
    assert (match.claim, match.how, match.part) == (protection.claim, "looks alike", True)
    assert match.distance < 40
    assert claim == room.bank.claim(protection.claim)
    assert [entry] == [one.number for one in room.bank.entries(0)]


def test_flat_squares_need_a_higher_cosine() -> None:
    """Two flat drawings look alike to a network that was trained on photographs."""
    photograph, flat = (
        resize_to_square(skimage.data.coffee()),
        bytes(len(resize_to_square(skimage.data.coffee()))),
    )
    assert cosine_thresholds_of_squares((photograph, photograph, photograph)) == (0.5, 0.6, 0.6)
    assert cosine_thresholds_of_squares((flat, photograph, flat)) == (0.7, 0.6, 0.7)


def test_deferred_scan_finds_a_look_alike(room: Room, her_picture: Any, other_picture: Any) -> None:
    protection = register(her_picture, room)
    upload = picture(lit_by(other_picture, her_picture))
    plain = replace(room.platform, embedding_comparison=None)
    assert best_deferred_hits(upload, plain) == []
    ((match, _),) = best_deferred_hits(upload, room.platform)
    assert (match.claim, match.how, match.part) == (protection.claim, "looks alike", True)


def test_look_alike_within_a_larger_picture_is_found(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    protection = register(her_picture, room)
    tiles = [cv2.resize(one, (300, 300)) for one in (other_picture, her_picture)]
    upload = picture(np.vstack([np.hstack(tiles), np.hstack(tiles[:1] * 2)]))
    found = find_lookalike_hits(upload, comparison_of(room), room.bank)
    assert {match.claim for _, (match, _) in found} == {protection.claim}


def test_unrelated_picture_is_no_look_alike(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    register(her_picture, room)
    assert find_lookalike_hits(picture(other_picture), comparison_of(room), room.bank) == []


def test_network_is_not_run_if_no_embedding_is_registered(room: Room, her_picture: Any) -> None:
    class UnusedEmbedder(FineEmbedder):
        def embed(self, _squares: Any) -> Any:
            raise AssertionError

    register(her_picture, room, replace(AGREED, embedding=False))
    comparison = replace(comparison_of(room), embedder=UnusedEmbedder())
    assert find_lookalike_hits(picture(her_picture), comparison, room.bank) == []


def test_claim_without_embedding_is_not_found_by_that_of_another(
    room: Room, her_picture: Any
) -> None:
    """Both have the same hash."""
    agreed = register(her_picture, room)
    register(her_picture, room, replace(AGREED, embedding=False))
    found = find_lookalike_hits(picture(her_picture), comparison_of(room), room.bank)
    assert {match.claim for _, (match, _) in found} == {agreed.claim}


@pytest.mark.parametrize("event", [ClaimEvent.WITHDRAW, ClaimEvent.SUSPEND])
def test_inactive_claim_is_not_found_by_its_embedding(
    room: Room, her_picture: Any, event: ClaimEvent
) -> None:
    room.bank.apply_event(register(her_picture, room).claim, event)
    assert find_lookalike_hits(picture(her_picture), comparison_of(room), room.bank) == []


def test_nothing_is_sent_to_a_gate_that_compares_none(room: Room, her_picture: Any) -> None:
    room.gate = InProcessGate(replace(room.platform, embedding_comparison=None))
    with pytest.raises(PlatformTakesNoEmbedding, match="without --embedding"):
        register(her_picture, room)
    assert room.gate.sent == []


def test_gate_stores_no_embedding_that_it_does_not_compare(room: Room, her_picture: Any) -> None:
    """The device does not ask first; the rest of its claim is stored."""
    fingerprints = fingerprint_picture(picture(her_picture), AGREED, room.device)
    assert fingerprints.embedding is not None
    other = replace(
        fingerprints, embedding=Embedding(fingerprints.embedding.numbers, "another-network")
    )

    class ChangedGate(InProcessGate):
        def accepted_embedding_model(self) -> str | None:
            return "another-network"

    protection = register_fingerprints(other, ChangedGate(room.platform), room.device)
    assert room.bank.embedding_count() == 0
    assert room.bank.whole_picture_hashes_of(protection.claim) == (fingerprints.whole.bits,)


def test_a_device_without_a_network_makes_none(room: Room, her_picture: Any) -> None:
    device: Device = replace(room.device, embedder=None)
    with pytest.raises(EmbeddingModelMissing, match=r"Python 3\.12"):
        fingerprint_picture(picture(her_picture), AGREED, device)
    assert (
        fingerprint_picture(
            picture(her_picture), replace(AGREED, embedding=False), device
        ).embedding
        is None
    )


def test_gate_names_the_network_that_it_uses(room: Room) -> None:
    assert accepted_embedding_model(room.platform) == EMBEDDING_MODEL
    assert accepted_embedding_model(replace(room.platform, embedding_comparison=None)) is None


def test_angle_maps_cosines_to_256ths_of_a_half_turn() -> None:
    assert [cosine_to_angle_units(cosine) for cosine in (1.0, 0.6, 0.5, 0.0, -1.0)] == [
        0,
        76,
        85,
        128,
        256,
    ]
