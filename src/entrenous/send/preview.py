"""Preview a recipient's copy of a picture in memory, before anything is sent. Nothing is recorded,
and the mark belongs to nobody.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from entrenous.device.device import Device
from entrenous.media.previews import jpeg_of, small_jpeg, stronger_difference
from entrenous.send.copies.picture_copies import new_mark_seed, prepare_original, write_picture_copy

DIFFERENCE_FACTOR: Final = 20  # a mark changes most pixels by one to three of 255 levels


@dataclass(frozen=True, slots=True)
class CopyPreview:
    """JPEGs of one size: the original, a copy with a real mark, and their difference multiplied by
    :data:`FACTOR`.
    """

    width_px: int
    height_px: int
    original: bytes
    copy: bytes
    difference: bytes


def preview_copy(untrusted_data: bytes, longest_side_px: int, device: Device) -> CopyPreview:
    """Mark a scaled-down picture like a recipient's copy, and compare it with the original.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, longest_side_px, device)
    copy = device.read_picture(write_picture_copy(original, new_mark_seed(device)))
    apart = stronger_difference(np.asarray(original.picture), np.asarray(copy), DIFFERENCE_FACTOR)
    return CopyPreview(
        copy.width_px,
        copy.height_px,
        small_jpeg(original.picture, longest_side_px),
        small_jpeg(copy, longest_side_px),
        jpeg_of(Image.fromarray(apart)),
    )
