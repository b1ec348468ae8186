"""Is a JPEG all there, even when somebody has put an end marker behind what was left of it?

Without its end marker a JPEG was cut short. With one, libjpeg fills what is missing with the last
colour and only warns, where nobody hears it. So the data are decoded *without* the end marker: then
the decoder waits for more instead of filling, and what it has not reached stays as we had painted
it. Only where that cannot be told from the picture itself is it decoded a second time.
"""

import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from entrenous.model.picture import CutShort, DecoderGaveUp

# ITU-T T.81, B.1.1: markers that have a length, or end the picture. FF 00 is data, FF FF is fill,
# and TEM, RST0..RST7 and SOI stand alone.
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_CORNER_PX: Final = 8
_PAINTS: Final[dict[str, int | tuple[int, ...]]] = {"L": 1, "RGB": (1, 254, 3)}  # seldom seen
_READ_AHEAD: Final = bytes(8)  # libjpeg wants 57 bits at hand before it takes the last ones
_NO_CODE: Final = 8 * b"\xff\0"  # as many bits, of which no Huffman table makes a picture


@dataclass(frozen=True, slots=True)
class Outline:
    """A JPEG's frame and scans (ITU-T T.81, B.2.2 and B.2.3).

    ``frame`` is its marker, 0 without any; ``components`` are the numbers that it announces,
    ``sharp`` those whose mean values (DC) have come in full precision; ``end`` is where the end
    marker is.
    """

    frame: int
    components: frozenset[int]
    sharp: frozenset[int]
    scans: int
    end: int


def complete_outline_of(untrusted_data: bytes) -> Outline:
    """Of a JPEG with its end marker and every scan that it needs.

    Raises:
        CutShort: the file, a segment or a component's scan is not all there.
        DecoderGaveUp: a segment is shorter than its own length field.
    """
    outline = outline_of(untrusted_data)
    if not outline.components <= outline.sharp:
        raise CutShort
    return outline


def outline_of(untrusted_data: bytes) -> Outline:
    """Walk along the markers to the first end marker; thumbnails inside segments are stepped over.

    Raises:
        CutShort, DecoderGaveUp: as :func:`complete_outline_of`.
    """
    at, frame, scans = 2, 0, 0
    components, sharp = frozenset[int](), frozenset[int]()
    while True:
        found = _MARKER.search(untrusted_data, at)
        if found is None:
            raise CutShort
        marker, at = untrusted_data[found.start() + 1], found.end()
        if marker == _EOI:
            return Outline(frame, components, sharp, scans, found.start())
        segment = _segment(untrusted_data, at)
        if marker in _FRAMES:
            frame, components = marker, frozenset(segment[8::3])
        elif marker == _SOS:
            scans, sharp = scans + 1, sharp | _sharp(segment)
        at += len(segment)


def load_whole(untrusted_data: bytes, opened: Callable[[Any], Any]) -> Any:
    """The loaded JPEG (Pillow's ``JpegImageFile``, as ``opened`` opens a file), of which libjpeg
    has made nothing up.

    This sees one sequential scan, which is how nearly all cameras write. Of a progressive file
    :func:`complete_outline_of` has seen the coarse scans; what the last ones lack costs some
    sharpness.

    Raises:
        CutShort: the data end before the picture does.
        DecoderGaveUp: as :func:`complete_outline_of`.
    """
    outline = complete_outline_of(untrusted_data)
    if outline.scans != 1 or outline.frame not in _SEQUENTIAL:
        return _loaded(untrusted_data, opened)
    unended = b"".join((memoryview(untrusted_data)[: outline.end], _READ_AHEAD))
    witness = opened(io.BytesIO(unended))
    if witness.mode in _PAINTS and _reached(witness, _PAINTS[witness.mode]):
        witness.tile = []  # it has been loaded, as far as it needs to be
        return witness
    image = _loaded(untrusted_data, opened)
    if _flat_corner(image):
        paint = _another_colour(image.getpixel((image.width - 1, image.height - 1)))
        if not _reached(opened(io.BytesIO(unended)), paint):
            raise CutShort
    return image


def ends_with_its_picture(untrusted_data: bytes, opened: Callable[[Any], Any]) -> bool:
    """Whether the scan of a baseline JPEG that ends with its end marker holds the whole picture and
    at most 8 bytes more, which libjpeg cannot tell from its read-ahead.
    """
    image = _loaded(untrusted_data, opened)
    paint = _another_colour(image.getpixel((image.width - 1, image.height - 1)))
    unended = untrusted_data[:-2]
    if not _reached(opened(io.BytesIO(unended + _NO_CODE)), paint):
        return False
    try:
        shorter = opened(io.BytesIO(unended[: -len(_READ_AHEAD)]))
    except (OSError, SyntaxError):  # the scan is no longer than that
        return True
    return not _reached(shorter, paint)


def _loaded(untrusted_data: bytes, opened: Callable[[Any], Any]) -> Any:
    image = opened(io.BytesIO(untrusted_data))
    image.load()
    return image


def _reached(witness: Any, paint: int | tuple[int, ...]) -> bool:
    """Load a JPEG without an end marker over this paint: whether the last sample is another."""
    witness.load_prepare()
    witness.im.paste(paint, (0, 0, *witness.size))
    with contextlib.suppress(OSError):  # it ends without an end marker: that much we know
        witness.load()
    reached: bool = witness.im.getpixel((witness.width - 1, witness.height - 1)) != paint
    return reached


def _segment(data: bytes, at: int) -> bytes:
    """A segment from its length field on."""
    size = int.from_bytes(data[at : at + 2], "big")
    if at + max(size, 2) > len(data):
        raise CutShort
    if size < 2:
        raise DecoderGaveUp
    return data[at : at + size]


def _sharp(scan: bytes) -> frozenset[int]:
    """Which components get the last bit of their DC values: Ss = 0 and Al = 0 (B.2.3)."""
    first, lowest_bit = scan[-3:-2], scan[-1:]
    if first != b"\0" or not lowest_bit or lowest_bit[0] & 0x0F:
        return frozenset()
    return frozenset(scan[3:-3:2])


def _flat_corner(image: Any) -> bool:
    width, height = image.size
    corner = image.crop((max(0, width - _CORNER_PX), height - 1, width, height))
    return len(corner.getcolors()) == 1


def _another_colour(pixel: int | tuple[int, ...]) -> int | tuple[int, ...]:
    if isinstance(pixel, int):
        return pixel ^ 0x80
    return tuple(number ^ 0x80 for number in pixel)
