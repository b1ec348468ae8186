"""Read a picture: upright pixels, and nothing else of the file (docs/spec/pictures.md).

This decodes in the calling process. What a stranger made belongs into :mod:`.jail`, which runs this
very function in a child that can do nothing but answer.
"""

import io
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from entrenous.craft.media.colour import Colour, colour_of
from entrenous.craft.media.encoding import encoding_of
from entrenous.craft.media.jpeg import load_whole
from entrenous.craft.media.kind import kind_of
from entrenous.craft.media.samples import samples_of
from entrenous.craft.media.tiff import check_tiff
from entrenous.craft.media.upright import AXES_SWAPPED, full_size, turn_of
from entrenous.craft.media.whole import check_whole
from entrenous.model.errors import EntrenousError
from entrenous.model.picture import (
    CutShort,
    DecoderGaveUp,
    NotAPicture,
    Picture,
    PictureFormat,
    TooManyPixels,
)
from entrenous.spec import PICTURE_PIXELS_MAX

# One decoder per kind, loaded when it is first needed: no file is offered to a decoder that merely
# tries its luck, and a child process loads one of them, not all.
DECODERS: Final = {
    PictureFormat.JPEG: ("PIL.JpegImagePlugin", "JpegImageFile"),
    PictureFormat.PNG: ("PIL.PngImagePlugin", "PngImageFile"),
    PictureFormat.WEBP: ("PIL.WebPImagePlugin", "WebPImageFile"),
    PictureFormat.HEIC: ("pillow_heif", "HeifImageFile"),
    PictureFormat.AVIF: ("PIL.AvifImagePlugin", "AvifImageFile"),
    PictureFormat.GIF: ("PIL.GifImagePlugin", "GifImageFile"),
    PictureFormat.TIFF: ("PIL.TiffImagePlugin", "TiffImageFile"),
    PictureFormat.BMP: ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_CUT_SHORT_WORDS: Final = ("truncated", "not enough", "end of file", "too short")


def read_picture(untrusted_data: bytes, *, at_least_px: int = 0, luma: bool = False) -> Picture:
    """The first picture in these bytes, upright, as 8-bit RGB and alpha, without any metadata.

    Args:
        untrusted_data: the file.
        at_least_px: a JPEG may be decoded smaller, as long as both of its sides have so many
            pixels, which is many times faster (a gate's fingerprint needs 192); 0: never.
        luma: how bright a JPEG is will do, as the file has it: its colours are not decoded, unless
            its colour profile has to be applied to them.

    Raises:
        NotAPicture: the bytes announce no format that we read, or their header makes no sense.
        CutShort: the file ends too early; it is never half decoded.
        TooManyPixels: the header announces more than ``PICTURE_PIXELS_MAX``; nothing was decoded.
        DecoderGaveUp: the data inside is broken, or memory ran out.
    """
    kind = kind_of(untrusted_data)
    check_whole(kind, untrusted_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stranger's file does not speak to the person
        try:
            return _read(kind, untrusted_data, _Wanted(at_least_px, luma))
        except EntrenousError:
            raise
        except Exception as error:  # decoders raise all kinds; the person needs one answer
            raise _in_our_words(error) from error


def load_decoder(kind: PictureFormat) -> Any:
    """The Pillow image class that decodes this kind."""
    module, name = DECODERS[kind]
    return getattr(import_module(module), name)


@dataclass(slots=True)
class _Wanted:
    """How much of a JPEG is enough; ``came_px`` is its size, once it is read as a smaller one."""

    at_least_px: int
    luma: bool
    came_px: tuple[int, int] | None = None

    def open_jpeg(self, untrusted_file: Any) -> Any:
        """Have libjpeg leave out frequencies (to a half, a quarter or an eighth), and colours."""
        image = _opened(PictureFormat.JPEG, untrusted_file)
        shrinks = bool(self.at_least_px) and min(image.size) > self.at_least_px
        size = (self.at_least_px, self.at_least_px) if shrinks else image.size
        alone = self.luma and colour_of(image, grey=False).transform is None
        came = image.size
        if shrinks or alone:
            image.draft("L" if alone else None, size)
        self.came_px = None if image.size == came else came
        return image

    def is_luma(self, image: Any, colour: Colour) -> bool:
        """Whether a loaded JPEG has one sample a pixel, and may be given so."""
        return self.luma and image.mode == "L" and colour.transform is None


def _read(kind: PictureFormat, untrusted_data: bytes, wanted: _Wanted) -> Picture:
    if kind is PictureFormat.WEBP:
        _check_size(_webp_size(untrusted_data))  # its decoder takes the memory as soon as it opens
    if kind is PictureFormat.JPEG:
        image = load_whole(untrusted_data, wanted.open_jpeg)
    else:
        image = _opened(kind, io.BytesIO(untrusted_data))
    if kind is PictureFormat.TIFF:
        check_tiff(image, len(untrusted_data))
    image.load()
    _check_size(image.size)
    turn = None if kind is PictureFormat.TIFF else turn_of(image)
    encoding = encoding_of(kind, image, untrusted_data, axes_swapped=turn in AXES_SWAPPED)
    if turn is not None:
        image = image.transpose(turn)
    colour = colour_of(image, grey=encoding.grey)
    width, height = image.size
    shrunk = None if wanted.came_px is None else full_size(*wanted.came_px, turn)
    if kind is PictureFormat.JPEG and wanted.is_luma(image, colour):
        return Picture(width, height, image.tobytes(), encoding, shrunk_from=shrunk)
    samples, alpha = samples_of(image, colour, grey=encoding.grey)
    return Picture(width, height, samples, encoding, alpha, colour.profile, shrunk)


def _opened(kind: PictureFormat, untrusted_file: Any) -> Any:
    """Its header is read, and nothing decoded."""
    try:
        image = load_decoder(kind)(untrusted_file)
    except SyntaxError as error:
        raise NotAPicture from error
    _check_size(image.size)
    return image


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > PICTURE_PIXELS_MAX:
        limit_mp = PICTURE_PIXELS_MAX // 1_000_000
        raise TooManyPixels(width_px=width, height_px=height, limit_mp=limit_mp)


def _webp_size(untrusted_data: bytes) -> tuple[int, int]:
    """RFC 9649, 2.5 to 2.7: each of the three kinds of file announces its size elsewhere."""
    if untrusted_data[12:16] == b"VP8X":
        width = int.from_bytes(untrusted_data[24:27], "little") + 1
        return width, int.from_bytes(untrusted_data[27:30], "little") + 1
    if untrusted_data[12:16] == b"VP8L":
        bits = int.from_bytes(untrusted_data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width = int.from_bytes(untrusted_data[26:28], "little") & 0x3FFF
    return width, int.from_bytes(untrusted_data[28:30], "little") & 0x3FFF


def _in_our_words(error: Exception) -> EntrenousError:
    words = str(error).lower()
    if any(cut in words for cut in _CUT_SHORT_WORDS):
        return CutShort()
    return DecoderGaveUp()
