"""Tests of finding pictures without keypoints by their colour layout."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.device.store.picture_search import PictureRecords
from entrenous.fingerprint.picture_record import make_picture_record

PICTURE_COUNT = 30
LEADING_CANDIDATE_COUNT = 5


def blurred_pixels(seed: int) -> NDArray[np.uint8]:
    """Return a blurred background, on which no keypoint is found."""
    coarse = np.random.default_rng(seed).integers(30, 225, (3, 4, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (240, 160), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 255), np.uint8)


def make_picture(pixels: NDArray[np.uint8]) -> Picture:
    high, wide = pixels.shape[:2]
    raw = np.ascontiguousarray(pixels).tobytes()
    return Picture(wide, high, raw, PictureEncoding(PictureFormat.PNG))


def message_id(number: int) -> MessageId:
    return MessageId(number.to_bytes(16, "big"))


@pytest.mark.slow
def test_mirrored_crop_of_a_blurred_picture_is_among_the_first_candidates() -> None:
    records = [
        (
            f"{message_id(number).hex()} 0000",
            make_picture_record(make_picture(blurred_pixels(number))),
        )
        for number in range(PICTURE_COUNT)
    ]
    searched = PictureRecords.from_encoded(records)
    assert searched.damaged == ()
    for number in (2, 11, 29):
        leak = make_picture(blurred_pixels(number)[40:128, 60:192][:, ::-1])
        first = [one.message for one in searched.likeliest_pictures(leak, PICTURE_COUNT)]
        assert message_id(number) in first[:LEADING_CANDIDATE_COUNT]
        assert len(first) == len(set(first)) == PICTURE_COUNT


def test_search_without_records_finds_no_candidates() -> None:
    assert (
        PictureRecords.from_encoded([]).likeliest_pictures(
            make_picture(blurred_pixels(1)), LEADING_CANDIDATE_COUNT
        )
        == []
    )
