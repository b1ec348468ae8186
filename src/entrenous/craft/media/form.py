"""How a copy is encoded: as its original was where that is good enough, else a step or more finer.

A copy's pixels have left the grid on which the original's coefficients were rounded: always a
little, by the mark, and wholly when the picture was made smaller or comes from another format. Then
the original's own tables cost far more than they did at first. So the steps are tried on a copy
that nobody gets, until one keeps it as near to the original as a copy has to be.
"""

from dataclasses import dataclass
from typing import Any, Final

from entrenous.model.picture import Encoding, PictureFormat

PSNR_DB_LEAST: Final = 42.2  # of red, green and blue together; 42 is promised
QUALITY: Final = 92  # where the original's own tables are unknown or too coarse to carry a copy
# Sum of the luma table of ITU-T T.81, K.1, scaled to libjpeg's quality 75. Coarser tables round the
# mark itself away: a copy of a JPEG of quality 50 in its own tables is heard half as loud.
_LUMA_SUM_MAX: Final = 1860


@dataclass(frozen=True, slots=True)
class Step:
    """A quality of libjpeg or libwebp; ``sharp`` means colours at full size or, for WebP, without
    loss.
    """

    quality: int
    sharp: bool = False


_JPEG_STEPS: Final = (
    Step(QUALITY),
    Step(96),
    Step(98),
    Step(97, sharp=True),
    Step(98, sharp=True),
    Step(99, sharp=True),
    Step(100, sharp=True),
)
_WEBP_STEPS: Final = (Step(QUALITY), Step(96), Step(100), Step(100, sharp=True))
STEPS: Final = {PictureFormat.JPEG: len(_JPEG_STEPS), PictureFormat.WEBP: len(_WEBP_STEPS)}


def jpeg_options(encoding: Encoding, finer: int) -> dict[str, Any]:
    """Pillow's options for a JPEG that is ``finer`` steps better than the original's encoding."""
    own = encoding.subsampling or "4:4:4"
    if finer == 0 and encoding.tables and sum(encoding.tables[0]) <= _LUMA_SUM_MAX:
        tables = [list(table) for _, table in sorted(encoding.tables.items())]
        return {"qtables": tables, "subsampling": own}
    step = _JPEG_STEPS[min(finer, len(_JPEG_STEPS) - 1)]
    return {"quality": step.quality, "subsampling": "4:4:4" if step.sharp else own}


def webp_options(encoding: Encoding, finer: int) -> dict[str, Any]:
    """Pillow's options for a WebP, likewise."""
    step = _WEBP_STEPS[min(finer, len(_WEBP_STEPS) - 1)]
    if encoding.lossless or step.sharp:
        return {"lossless": True, "exact": True, "quality": 50, "method": 4}
    return {"quality": step.quality, "method": 4}
