"""A cut-out to about 70 % is found by the windows' hashes; another photograph is not."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import cv2
import numpy as np

from entrenous.craft.fingerprint.index import ScanIndex
from entrenous.craft.fingerprint.parts import part_hashes, part_views
from entrenous.model.picture import Picture

MakePicture = Callable[[Any], Picture]
SUBJECTS = ("astronaut", "cat", "coffee", "rocket", "china", "flower", "camera", "coins")


def leak(pixels: Any, rng: np.random.Generator) -> Any:
    """A cut-out of 65 to 75 % of the area, aspect off by up to 8 %, resized, JPEG quality 50."""
    height, width, _ = pixels.shape
    area, stretch = rng.uniform(0.65, 0.75), np.exp(rng.uniform(-0.08, 0.08))
    rows = int(min(1, (area / stretch) ** 0.5) * height)
    columns = int(min(1, (area * stretch) ** 0.5) * width)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    cut = pixels[top : top + rows, left : left + columns]
    zoom = rng.uniform(0.5, 1.5)
    size = (int(columns * zoom), int(rows * zoom))
    _, data = cv2.imencode(".jpg", cv2.resize(cut, size), [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def queries(pixels: Any) -> list[bytes]:
    views = b"".join(part_views(pixels).values())
    return [views[start : start + 32] for start in range(0, len(views), 32)]


def test_cut_outs_are_found_and_strangers_are_not(
    photographs: dict[str, Any], picture_of: MakePicture
) -> None:
    rng = np.random.default_rng(70)
    indexes = {}
    for name in SUBJECTS:
        hashes = part_hashes(picture_of(photographs[name]))
        assert 500 <= len(hashes) <= 534, name
        indexes[name] = ScanIndex.empty().with_added(range(len(hashes)), hashes)
    uploads = {name: queries(leak(photographs[name], rng)) for name in SUBJECTS}
    for name in SUBJECTS:
        assert indexes[name].near(uploads[name]), name
        assert indexes[name].near(queries(leak(photographs[name], rng))), name
    for name, other in permutations(SUBJECTS, 2):
        assert not indexes[other].near(uploads[name]), (name, other)


def test_a_mirrored_cut_out_says_so(photographs: dict[str, Any], picture_of: MakePicture) -> None:
    hashes = part_hashes(picture_of(photographs["coffee"]))
    index = ScanIndex.empty().with_added(range(len(hashes)), hashes)
    cut = np.ascontiguousarray(np.fliplr(photographs["coffee"][30:370, 60:570]))
    found = {
        how: index.near([views[start : start + 32] for start in range(0, len(views), 32)])
        for how, views in part_views(cut).items()
    }
    assert found["mirror"]
    assert not found["as it is"]


def test_flat_windows_are_left_out(picture_of: MakePicture) -> None:
    assert part_hashes(picture_of(np.full((300, 300, 3), 60, dtype=np.uint8))) == ()
