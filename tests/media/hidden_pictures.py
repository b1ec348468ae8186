"""Pictures that a colour profile hides: the samples show one picture, and every browser another."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from entrenous.media.icc_profile import write_profile
from tests.media.test_icc_profile import (
    ADOBE_RGB,
    UNIT_MATRIX,
    gamma_curve,
    profile_with_planted_tags,
    xyz_bytes,
)

_LEVELS = np.arange(256)
_TEETH = ((((_LEVELS & 31) * 8 + 4) / 255) ** 2.2 * 65535).round().astype(int)  # lower five bits
_SAW = struct.pack(">256H", *_TEETH)
SAW_CURVE = b"curv\0\0\0\0" + struct.pack(">I", 256) + _SAW


def picture_hidden_by_curves(samples: Any, hidden: Any) -> bytes:
    profile = write_profile(replace(ADOBE_RGB, curves=(SAW_CURVE,) * 3))
    return _png(_in_lower_bits(samples, hidden), profile)


def picture_hidden_by_table(samples: Any, hidden: Any) -> bytes:
    columns = [np.array(struct.unpack(">3i", one)) / 65536 for one in ADOBE_RGB.columns]
    corners = [
        sum(column * (corner >> bit & 1) for bit, column in zip((2, 1, 0), columns, strict=True))
        for corner in range(8)
    ]
    light = np.minimum(np.array(corners) * 32768, 65535).round().astype(int).ravel()
    table = b"mft2\0\0\0\0" + bytes((3, 3, 2, 0)) + UNIT_MATRIX + struct.pack(">2H", 256, 2)
    table += 3 * _SAW + struct.pack(">24H", *light) + 3 * struct.pack(">2H", 0, 65535)
    tags = {b"A2B0": table, b"A2B1": table}
    profile = profile_with_planted_tags(write_profile(ADOBE_RGB), tags)
    return _png(_in_lower_bits(samples, hidden), profile)


def picture_hidden_by_grey_curve(samples: Any, hidden: Any) -> bytes:
    profile = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"kTRC": SAW_CURVE})
    grey = (np.asarray(Image.fromarray(one).convert("L")) for one in (samples, hidden))
    return _png(_in_lower_bits(*grey), profile[:12] + b"mntrGRAYXYZ " + profile[24:])


def picture_hidden_by_columns(samples: Any, hidden: Any) -> bytes:
    """Return a picture of which only the blue samples are shown, as white light."""
    grey = [np.asarray(Image.fromarray(one).convert("L")) for one in (samples, samples, hidden)]
    columns = (xyz_bytes(0, 0, 0), xyz_bytes(0, 0, 0), xyz_bytes(0.9642, 1.0, 0.8249))
    profile = replace(ADOBE_RGB, columns=columns, curves=(gamma_curve(2.2),) * 3)
    return _png(np.dstack(grey), write_profile(profile))


HIDING_PROFILES: dict[str, Callable[[Any, Any], bytes]] = {
    "curves": picture_hidden_by_curves,
    "table": picture_hidden_by_table,
    "grey curve": picture_hidden_by_grey_curve,
    "columns": picture_hidden_by_columns,
}


def _in_lower_bits(samples: Any, hidden: Any) -> Any:
    return (samples & 0xE0) | (hidden >> 3)


def _png(pixels: Any, profile: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=profile)
    return file.getvalue()
