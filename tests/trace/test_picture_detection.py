"""Tests of evidence in a crop: almost none outside the crop, and the same with 1 or 2 threads."""

import hashlib
import io

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from entrenous.media.picture_reader import read_picture
from entrenous.trace.picture_fit import detect_evidence
from entrenous.watermark.alignment.image_registration import register
from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.detector import ChipEvidence
from entrenous.watermark.embed import PreparedPicture, embed_mark, prepare_picture

_CROP = np.s_[30:200, 60:300]


def pseudorandom_bytes(name: str, size: int) -> bytes:
    return hashlib.shake_256(name.encode()).digest(size)


@pytest.fixture(scope="module")
def sent_picture() -> PreparedPicture:
    return prepare_picture(np.ascontiguousarray(skimage.data.chelsea()))


def evidence_in_crop(sent_picture: PreparedPicture) -> ChipEvidence:
    height, width = sent_picture.layout.full
    marked = embed_mark(
        sent_picture,
        pseudorandom_bytes("copy", key_stream_bytes(width, height)),
        pseudorandom_bytes("d", dither_stream_bytes(width, height)),
    )
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(marked[_CROP])).save(file, "JPEG", quality=70)
    found = read_picture(file.getvalue())
    registration = register(np.asarray(found), sent_picture.pixels_rgb)
    assert registration is not None
    return detect_evidence(found, registration, sent_picture)


@pytest.mark.slow
def test_area_outside_a_crop_gives_no_evidence(sent_picture: PreparedPicture) -> None:
    finest = sent_picture.layout.bands[0]
    per_chip = np.abs(evidence_in_crop(sent_picture).per_chip[: finest.stop]).reshape(finest.cells)
    rows, columns = sent_picture.layout.full
    shown = np.zeros((rows, columns), np.uint8)
    shown[_CROP] = 1
    near = cv2.dilate(shown, np.ones((61, 61), np.uint8))
    inside, beyond = (
        np.asarray(cv2.resize(area, finest.cells[::-1], interpolation=cv2.INTER_NEAREST) == one)
        for area, one in ((shown, 1), (near, 0))
    )
    assert beyond.any()
    assert per_chip[beyond].mean() < 0.02 * per_chip[inside].mean()


@pytest.mark.slow
def test_number_of_threads_does_not_change_the_evidence(sent_picture: PreparedPicture) -> None:
    before = cv2.getNumThreads()
    try:
        evidences = []
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            evidences.append(evidence_in_crop(sent_picture).per_chip.tobytes())
    finally:
        cv2.setNumThreads(before)
    assert evidences[0] == evidences[1]
