"""The pictures of a report: small JPEGs of the original, the found file, and both combined."""

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

REPORT_PICTURE_SIDE_PX_MAX: Final = 1000
_JPEG_QUALITY: Final = 84
# a veiled picture is scaled down to this longest side, which leaves colours but no content
_VEILED_SIDE_PX: Final = 9
# a light line around a dark one, visible on any picture
_OUTLINE_COLOURS: Final = ((255, 255, 255), (31, 95, 150))
_UNCOVERED_COLOUR: Final = (222, 222, 222)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ReportPicture:
    jpeg: bytes
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class ReportPictures:
    """The pictures of a report; all except ``found`` have the original's frame and size.

    ``outlined`` is the original with the outline of the found part. ``laid`` is the found part
    alone, at its position. ``halves`` is the original's left half beside the right half of
    ``laid``.
    """

    original: ReportPicture
    outlined: ReportPicture
    laid: ReportPicture
    halves: ReportPicture
    found: ReportPicture


def make_report_pictures(
    original_rgb: Pixels,
    found_rgb: Pixels,
    laid: tuple[Pixels, NDArray[np.bool_]],
    homography: NDArray[np.float64],
    *,
    veiled: bool = False,
) -> ReportPictures:
    """Make the report's pictures.

    Args:
        original_rgb: (H, W, 3).
        found_rgb: (h, w, 3).
        laid: the found picture warped to the original's frame, (H, W, 3) or smaller, and the mask
            (H, W) of the pixels that it covers.
        homography: 3 x 3, from the original's pixel centres to the found picture's.
        veiled: blur the pictures so much that their content is gone.
    """
    original = _shrink_picture(original_rgb)
    placed = _paste_found(laid, original.size)
    edge = _found_outline(original_rgb, found_rgb, homography, original.size)
    found = _shrink_picture(found_rgb)
    if veiled:
        original, placed, found = (_blur(one) for one in (original, placed, found))
    several = (
        original,
        _draw_outline(original, edge),
        placed,
        _join_halves(original, placed),
        found,
    )
    return ReportPictures(*(_as_jpeg(one) for one in several))


def _shrink_picture(pixels: Pixels) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail(
        (REPORT_PICTURE_SIDE_PX_MAX, REPORT_PICTURE_SIDE_PX_MAX),
        Image.Resampling.LANCZOS,
        reducing_gap=3.0,
    )
    return picture


def _paste_found(laid: tuple[Pixels, NDArray[np.bool_]], size: tuple[int, int]) -> Image.Image:
    pixels, covered = laid
    found = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)
    mask = Image.fromarray(covered.astype(np.uint8) * np.uint8(255)).resize(size)
    paper = Image.new("RGB", size, _UNCOVERED_COLOUR)
    paper.paste(found, mask=mask)
    return paper


def _found_outline(
    original: Pixels, found: Pixels, homography: NDArray[np.float64], size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Return the outline of the found picture, in pixels of the scaled-down original."""
    rows, columns = found.shape[:2]
    corners = _picture_corners(columns - 0.5, rows - 0.5)
    back: NDArray[np.float64] = np.linalg.inv(homography) @ corners
    x, y = back[:2] / back[2]
    scale = size[0] / original.shape[1], size[1] / original.shape[0]
    return [
        ((a + 0.5) * scale[0], (b + 0.5) * scale[1])
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]


def _picture_corners(right: float, bottom: float) -> NDArray[np.float64]:
    """Return a picture's corners in homogeneous coordinates, one per column, clockwise."""
    x = [-0.5, right, right, -0.5]
    y = [-0.5, -0.5, bottom, bottom]
    return np.array([x, y, [1.0] * 4], np.float64)


def _draw_outline(picture: Image.Image, edge: list[tuple[float, float]]) -> Image.Image:
    copy = picture.copy()
    draw = ImageDraw.Draw(copy)
    wide = max(2, max(copy.size) // 220)
    right, bottom = copy.width - 1, copy.height - 1
    inside = [(min(max(x, 0.0), right), min(max(y, 0.0), bottom)) for x, y in edge]
    for colour, width in zip(_OUTLINE_COLOURS, (2 * wide + 1, wide), strict=True):
        draw.line([*inside, inside[0], inside[1]], fill=colour, width=width, joint="curve")
    return copy


def _join_halves(left: Image.Image, right: Image.Image) -> Image.Image:
    joined, middle = left.copy(), left.width // 2
    joined.paste(right.crop((middle, 0, *right.size)), (middle, 0))
    wide = max(1, left.width // 400)
    ImageDraw.Draw(joined).line([(middle, 0), (middle, left.height)], fill="white", width=wide)
    return joined


def _blur(picture: Image.Image) -> Image.Image:
    tiny = picture.copy()
    tiny.thumbnail((_VEILED_SIDE_PX, _VEILED_SIDE_PX), Image.Resampling.BOX)
    large = tiny.resize(picture.size, Image.Resampling.BICUBIC)
    return large.filter(ImageFilter.GaussianBlur(max(picture.size) / 20))


def _as_jpeg(picture: Image.Image) -> ReportPicture:
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY, "optimize": True}
    picture.convert("RGB").save(file, "JPEG", **options)
    return ReportPicture(file.getvalue(), picture.width, picture.height)
