"""Tests of embeddings: matching look-alikes, and devices or gates without a network."""

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
from tests.stop.platform_for_tests import GateSetup, InProcessGate, picture

pytestmark = pytest.mark.slow

CONSENT_WITH_EMBEDDING = Consent(adult=True, parts=False, embedding=True)


@pytest.fixture(scope="module")
def her_picture() -> Any:
    """Return a picture of 512 x 512 pixels."""
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def other_picture() -> Any:
    return skimage.data.coffee()


@pytest.fixture
def gate_setup(gate_setup: GateSetup) -> GateSetup:
    """Return a platform and a device that both have an embedding network."""
    comparison = EmbeddingComparison(FineEmbedder(), RegisteredEmbeddings(gate_setup.bank))
    gate_setup.platform = replace(gate_setup.platform, embedding_comparison=comparison)
    gate_setup.gate = InProcessGate(gate_setup.platform)
    gate_setup.device = replace(gate_setup.device, embedder=FineEmbedder())
    return gate_setup


def register_picture(
    pixels: Any, gate_setup: GateSetup, consent: Consent = CONSENT_WITH_EMBEDDING
) -> Protection:
    return register_fingerprints(
        fingerprint_picture(picture(pixels), consent, gate_setup.device),
        gate_setup.gate,
        gate_setup.device,
    )


def relight(pixels: Any, light_source: Any) -> Any:
    """Return the fine details of ``pixels``, added to a blurred ``light_source``. No hash of the
    result matches a hash of ``pixels``.
    """
    light = cv2.GaussianBlur(cv2.resize(light_source, pixels.shape[1::-1]), (0, 0), 20.0)
    fine = pixels - cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 20.0)
    return np.clip(light + fine, 0, 255).astype(np.uint8)


def embedding_comparison_of(gate_setup: GateSetup) -> EmbeddingComparison:
    assert gate_setup.platform.embedding_comparison is not None
    return gate_setup.platform.embedding_comparison


def test_look_alike_upload_is_found_as_a_part(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = register_picture(her_picture, gate_setup)
    upload = picture(cv2.resize(her_picture, (300, 400)))
    ((entry, (match, claim)), *_) = find_lookalike_hits(
        upload, embedding_comparison_of(gate_setup), gate_setup.bank
    )
    assert (match.claim, match.how, match.part) == (protection.claim, "looks alike", True)
    assert match.distance < 40
    assert claim == gate_setup.bank.claim(protection.claim)
    assert [entry] == [one.number for one in gate_setup.bank.entries(0)]


def test_flat_squares_need_a_higher_cosine() -> None:
    """Two flat drawings look alike to a network that was trained on photographs."""
    photograph, flat = (
        resize_to_square(skimage.data.coffee()),
        bytes(len(resize_to_square(skimage.data.coffee()))),
    )
    assert cosine_thresholds_of_squares((photograph, photograph, photograph)) == (0.5, 0.6, 0.6)
    assert cosine_thresholds_of_squares((flat, photograph, flat)) == (0.7, 0.6, 0.7)


def test_deferred_scan_finds_a_look_alike(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    protection = register_picture(her_picture, gate_setup)
    upload = picture(relight(her_picture, other_picture))
    plain = replace(gate_setup.platform, embedding_comparison=None)
    assert best_deferred_hits(upload, plain) == []
    ((match, _),) = best_deferred_hits(upload, gate_setup.platform)
    assert (match.claim, match.how, match.part) == (protection.claim, "looks alike", True)


def test_look_alike_within_a_larger_picture_is_found(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    protection = register_picture(her_picture, gate_setup)
    tiles = [cv2.resize(one, (300, 300)) for one in (other_picture, her_picture)]
    upload = picture(np.vstack([np.hstack(tiles), np.hstack(tiles[:1] * 2)]))
    found = find_lookalike_hits(upload, embedding_comparison_of(gate_setup), gate_setup.bank)
    assert {match.claim for _, (match, _) in found} == {protection.claim}


def test_unrelated_picture_is_no_look_alike(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    register_picture(her_picture, gate_setup)
    assert (
        find_lookalike_hits(
            picture(other_picture), embedding_comparison_of(gate_setup), gate_setup.bank
        )
        == []
    )


def test_network_is_not_run_if_no_embedding_is_registered(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    class UnusedEmbedder(FineEmbedder):
        def embed(self, _squares: Any) -> Any:
            raise AssertionError

    register_picture(her_picture, gate_setup, replace(CONSENT_WITH_EMBEDDING, embedding=False))
    comparison = replace(embedding_comparison_of(gate_setup), embedder=UnusedEmbedder())
    assert find_lookalike_hits(picture(her_picture), comparison, gate_setup.bank) == []


def test_claim_without_embedding_is_not_found_by_another_claim_s_embedding(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """Both claims have the same hash."""
    agreed = register_picture(her_picture, gate_setup)
    register_picture(her_picture, gate_setup, replace(CONSENT_WITH_EMBEDDING, embedding=False))
    found = find_lookalike_hits(
        picture(her_picture), embedding_comparison_of(gate_setup), gate_setup.bank
    )
    assert {match.claim for _, (match, _) in found} == {agreed.claim}


@pytest.mark.parametrize("event", [ClaimEvent.WITHDRAW, ClaimEvent.SUSPEND])
def test_inactive_claim_is_not_found_by_its_embedding(
    gate_setup: GateSetup, her_picture: Any, event: ClaimEvent
) -> None:
    gate_setup.bank.apply_event(register_picture(her_picture, gate_setup).claim, event)
    assert (
        find_lookalike_hits(
            picture(her_picture), embedding_comparison_of(gate_setup), gate_setup.bank
        )
        == []
    )


def test_nothing_is_sent_to_a_gate_that_compares_no_embeddings(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.gate = InProcessGate(replace(gate_setup.platform, embedding_comparison=None))
    with pytest.raises(PlatformTakesNoEmbedding, match="without --embedding"):
        register_picture(her_picture, gate_setup)
    assert gate_setup.gate.sent_requests == []


def test_gate_stores_no_embedding_that_it_does_not_compare(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """The gate names a wrong model to the device. The gate then stores the hash of the claim, but
    no embedding.
    """
    fingerprints = fingerprint_picture(
        picture(her_picture), CONSENT_WITH_EMBEDDING, gate_setup.device
    )
    assert fingerprints.embedding is not None
    other_model = replace(
        fingerprints, embedding=Embedding(fingerprints.embedding.numbers, "another-network")
    )

    class GateWithAnotherModel(InProcessGate):
        def accepted_embedding_model(self) -> str | None:
            return "another-network"

    protection = register_fingerprints(
        other_model, GateWithAnotherModel(gate_setup.platform), gate_setup.device
    )
    assert gate_setup.bank.embedding_count() == 0
    assert gate_setup.bank.whole_picture_hashes_of(protection.claim) == (fingerprints.whole.bits,)


def test_a_device_without_a_network_makes_no_embedding(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    device: Device = replace(gate_setup.device, embedder=None)
    with pytest.raises(EmbeddingModelMissing, match=r"Python 3\.12"):
        fingerprint_picture(picture(her_picture), CONSENT_WITH_EMBEDDING, device)
    assert (
        fingerprint_picture(
            picture(her_picture), replace(CONSENT_WITH_EMBEDDING, embedding=False), device
        ).embedding
        is None
    )


def test_gate_names_the_embedding_model_that_it_uses(gate_setup: GateSetup) -> None:
    assert accepted_embedding_model(gate_setup.platform) == EMBEDDING_MODEL
    assert accepted_embedding_model(replace(gate_setup.platform, embedding_comparison=None)) is None


def test_angle_maps_cosines_to_256ths_of_a_half_turn() -> None:
    assert [cosine_to_angle_units(cosine) for cosine in (1.0, 0.6, 0.5, 0.0, -1.0)] == [
        0,
        76,
        85,
        128,
        256,
    ]
