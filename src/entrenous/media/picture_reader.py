"""Read a picture as upright 8-bit RGB and alpha, without metadata (docs/spec/pictures.md).

The samples are in sRGB or in the colour space of the profile that is kept.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from PIL import Image

from entrenous.base.errors import EntrenousError
from entrenous.base.limits import PICTURE_PIXELS_MAX
from entrenous.base.picture import (
    IncompletePicture,
    NotAPicture,
    OriginalSize,
    Picture,
    PictureDecodingFailed,
    PictureEncoding,
    PictureFormat,
    TooManyPixels,
)
from entrenous.media.colour_conversion import (
    ColourConversion,
    colour_conversion_of,
    convert_mode,
    eight_bits,
    keeping_detail,
)
from entrenous.media.completeness import (
    load_complete_jpeg,
    require_complete_file,
    require_complete_tiff,
)
from entrenous.media.file_kind import picture_format_of
from entrenous.media.png_animation import first_shown_image

# The decoder for each kind, which is loaded on first use. So no decoder guesses a file's format,
# and a child process loads only the decoders that it needs.
PILLOW_DECODERS: Final = {
    PictureFormat.JPEG: ("PIL.JpegImagePlugin", "JpegImageFile"),
    PictureFormat.PNG: ("PIL.PngImagePlugin", "PngImageFile"),
    PictureFormat.WEBP: ("PIL.WebPImagePlugin", "WebPImageFile"),
    PictureFormat.HEIC: ("pillow_heif", "HeifImageFile"),
    PictureFormat.AVIF: ("PIL.AvifImagePlugin", "AvifImageFile"),
    PictureFormat.GIF: ("PIL.GifImagePlugin", "GifImageFile"),
    PictureFormat.TIFF: ("PIL.TiffImagePlugin", "TiffImageFile"),
    PictureFormat.BMP: ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_TRUNCATION_ERROR_WORDS: Final = ("truncated", "not enough", "end of file", "too short")


_PNG_BIT_DEPTH_AT: Final = 24  # in the file (W3C PNG, 11.2.1)


def read_picture(untrusted_data: bytes, *, at_least_px: int = 0, luma: bool = False) -> Picture:
    """Return the first picture in these bytes, upright, as 8-bit RGB and alpha, without metadata.

    Of an animated PNG, this is the picture that viewers which play animations show first.

    Args:
        untrusted_data: the file.
        at_least_px: decode a JPEG at a reduced size if both sides keep this many pixels, which is
            many times faster; a gate's fingerprint needs 192. With 0, the size is never reduced.
        luma: only the luma of a JPEG is needed. Its colours are not decoded, unless a colour
            profile has to be applied.

    Raises:
        NotAPicture: the bytes announce no supported format, or their header is invalid.
        IncompletePicture: the file ends too early. No picture is ever returned in part.
        TooManyPixels: the header announces more than ``PICTURE_PIXELS_MAX``; nothing was decoded.
        PictureDecodingFailed: the data is damaged, or memory ran out.
    """
    kind = picture_format_of(untrusted_data)
    require_complete_file(kind, untrusted_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an untrusted file must not cause warnings to be printed
        try:
            return _read_picture_in_format(kind, untrusted_data, _JpegRequest(at_least_px, luma))
        except EntrenousError:
            raise
        # decoders raise many types of errors, but the person needs one message
        except Exception as error:
            raise _as_our_error(error) from error


def load_pillow_decoder(kind: PictureFormat) -> Any:
    module, name = PILLOW_DECODERS[kind]
    return getattr(import_module(module), name)


@dataclass(slots=True)
class _JpegRequest:
    """How much of a JPEG is needed; ``full_px`` is its full size if it is decoded smaller."""

    at_least_px: int
    luma: bool
    full_px: tuple[int, int] | None = None

    def open_jpeg(self, untrusted_file: Any) -> Any:
        """Open a JPEG so that libjpeg skips high frequencies and colours that are not needed.

        Skipping frequencies reduces the size to a half, a quarter or an eighth.
        """
        image = _open_header(PictureFormat.JPEG, untrusted_file)
        shrinks = bool(self.at_least_px) and min(image.size) > self.at_least_px
        size = (self.at_least_px, self.at_least_px) if shrinks else image.size
        alone = self.luma and colour_conversion_of(image, grey=False).transform is None
        full = image.size
        if shrinks or alone:
            image.draft("L" if alone else None, size)
        self.full_px = None if image.size == full else full
        return image

    def can_return_luma(self, image: Any, colour: ColourConversion) -> bool:
        """Return whether a loaded JPEG has one sample per pixel that can be returned unchanged."""
        return self.luma and image.mode == "L" and colour.transform is None


def _read_picture_in_format(
    kind: PictureFormat, untrusted_data: bytes, request: _JpegRequest
) -> Picture:
    if kind is PictureFormat.WEBP:
        # the size is checked first, because the decoder allocates memory on opening
        _check_size(_webp_size(untrusted_data))
    if kind is PictureFormat.PNG:
        untrusted_data = first_shown_image(untrusted_data)
    if kind is PictureFormat.JPEG:
        image = load_complete_jpeg(untrusted_data, request.open_jpeg)
    else:
        image = _open_header(kind, io.BytesIO(untrusted_data))
    if kind is PictureFormat.TIFF:
        require_complete_tiff(image, len(untrusted_data))
    image.load()
    _check_size(image.size)
    if kind is PictureFormat.PNG:
        _scale_transparent_grey(image, untrusted_data)
    turn = None if kind is PictureFormat.TIFF else upright_turn_of(image)
    encoding = encoding_of(kind, image, untrusted_data, axes_swapped=turn in _AXIS_SWAPPING_TURNS)
    if turn is not None:
        image = image.transpose(turn)
    colour = colour_conversion_of(image, grey=encoding.grey)
    width, height = image.size
    shrunk = None if request.full_px is None else full_size(*request.full_px, turn)
    if kind is PictureFormat.JPEG and request.can_return_luma(image, colour):
        return Picture(width, height, image.tobytes(), encoding, original_size=shrunk)
    colour = keeping_detail(image, colour, untrusted_data)
    samples, alpha = samples_of(image, colour, grey=encoding.grey)
    return Picture(width, height, samples, encoding, alpha, colour.profile, shrunk)


def _scale_transparent_grey(image: Any, untrusted_data: bytes) -> None:
    """Scale the transparent grey of a PNG with 2 or 4 bits, as Pillow has scaled the samples."""
    bits, grey = untrusted_data[_PNG_BIT_DEPTH_AT], image.info.get("transparency")
    if image.mode == "L" and bits in (2, 4) and isinstance(grey, int):
        image.info["transparency"] = grey * (255 // ((1 << bits) - 1))


def _open_header(kind: PictureFormat, untrusted_file: Any) -> Any:
    """Read the header without decoding."""
    try:
        image = load_pillow_decoder(kind)(untrusted_file)
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
    """Return the size of a WebP.

    The position of the size depends on the file's type, of which there are three (RFC 9649, 2.5 to
    2.7).
    """
    if untrusted_data[12:16] == b"VP8X":
        width = int.from_bytes(untrusted_data[24:27], "little") + 1
        return width, int.from_bytes(untrusted_data[27:30], "little") + 1
    if untrusted_data[12:16] == b"VP8L":
        bits = int.from_bytes(untrusted_data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width = int.from_bytes(untrusted_data[26:28], "little") & 0x3FFF
    return width, int.from_bytes(untrusted_data[28:30], "little") & 0x3FFF


def _as_our_error(error: Exception) -> EntrenousError:
    words = str(error).lower()
    if any(cut in words for cut in _TRUNCATION_ERROR_WORDS):
        return IncompletePicture()
    return PictureDecodingFailed()


# tag of the orientation, which is a SHORT (Exif 3.0, CIPA DC-008-2023, 4.6.5)
_ORIENTATION_TAG: Final = 0x0112
_SHORT_TYPE: Final = 3
_ENTRY_BYTES: Final = 12
_TURN_BY_ORIENTATION: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_AXIS_SWAPPING_TURNS: Final = frozenset(
    _TURN_BY_ORIENTATION[orientation] for orientation in (5, 6, 7, 8)
)
# turns after which the file's first blocks are at the right, or at the bottom
_FIRST_BLOCKS_RIGHT_TURNS: Final = frozenset(
    _TURN_BY_ORIENTATION[orientation] for orientation in (2, 3, 6, 7)
)
_FIRST_BLOCKS_BELOW_TURNS: Final = frozenset(
    _TURN_BY_ORIENTATION[orientation] for orientation in (3, 4, 7, 8)
)


def full_size(width_px: int, height_px: int, turn: Image.Transpose | None) -> OriginalSize:
    """Return the full size of a picture that was decoded at a reduced size and then turned."""
    wide, high = (height_px, width_px) if turn in _AXIS_SWAPPING_TURNS else (width_px, height_px)
    return OriginalSize(
        wide, high, turn in _FIRST_BLOCKS_RIGHT_TURNS, turn in _FIRST_BLOCKS_BELOW_TURNS
    )


def upright_turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that makes a loaded image upright.

    Do not call this function for a TIFF, which Pillow turns while loading it.

    Returns: None if the image needs no turn, or if its Exif is damaged. HEIC and AVIF state their
    rotation in boxes, which their decoders apply or report as an Exif orientation.
    """
    untrusted_exif = image.info.get("exif")
    if not isinstance(untrusted_exif, bytes):
        return None
    try:
        return _TURN_BY_ORIENTATION.get(_orientation(untrusted_exif.removeprefix(b"Exif\0\0")))
    except struct.error:
        return None


def _orientation(tiff: bytes) -> int:
    """Return the orientation in the first directory (TIFF 6.0, section 2); 1 if there is none."""
    order = "<" if tiff.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(entries):
        at = directory + 2 + _ENTRY_BYTES * index
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if (tag, kind, count) == (_ORIENTATION_TAG, _SHORT_TYPE, 1):
            return int(value)
    return 1


_GREY_MODES: Final = frozenset({"1", "L", "LA", "La"})
_PNG_GREY_COLOUR_TYPES: Final = frozenset({0, 4})  # the colour types for grey (W3C PNG, 11.2.1)
_SUBSAMPLING_BY_LAYERS: Final[dict[tuple[tuple[int, int], ...], str]] = {
    ((1, 1), (1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1), (1, 1)): "4:2:0",
}
_SUBSAMPLING_BY_HEIF_CHROMA: Final = {444: "4:4:4", 422: "4:2:2", 420: "4:2:0"}
_TRANSPOSED_TABLE_ORDER: Final = tuple(8 * column + row for row in range(8) for column in range(8))


def encoding_of(
    kind: PictureFormat, image: Any, untrusted_data: bytes, *, axes_swapped: bool
) -> PictureEncoding:
    """Return the encoding of a loaded Pillow image.

    ``axes_swapped`` means that the image will be turned by 90 degrees.
    """
    grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
    if kind is PictureFormat.JPEG:
        return _jpeg_encoding(image, grey=grey, axes_swapped=axes_swapped)
    if kind is PictureFormat.PNG:
        return PictureEncoding(kind, grey=untrusted_data[25] in _PNG_GREY_COLOUR_TYPES)
    if kind is PictureFormat.WEBP:
        return PictureEncoding(kind, lossless=_is_lossless_webp(untrusted_data))
    if kind is PictureFormat.HEIC:
        return PictureEncoding(
            kind, grey=grey, subsampling=_SUBSAMPLING_BY_HEIF_CHROMA.get(image.info.get("chroma"))
        )
    return PictureEncoding(kind, grey=grey)


def _jpeg_encoding(image: Any, *, grey: bool, axes_swapped: bool) -> PictureEncoding:
    """Return the encoding of a JPEG.

    In the file, each component names its sampling factors and its table (ITU-T T.81, B.2.2). In the
    result, the tables are in slot 0 for luma and slot 1 for chroma, and are turned with the
    picture. CMYK tables are left out, because they say nothing about a copy in YCbCr.
    """
    layers = image.layer
    if len(layers) not in (1, 3):
        return PictureEncoding(PictureFormat.JPEG, grey=grey)
    tables = {
        slot: _turn_table(image.quantization[layer[3]], axes_swapped=axes_swapped)
        for slot, layer in enumerate(layers[:2])
    }
    subsampling = _SUBSAMPLING_BY_LAYERS.get(tuple((layer[1], layer[2]) for layer in layers))
    if subsampling == "4:2:2" and axes_swapped:
        subsampling = None
    return PictureEncoding(PictureFormat.JPEG, grey, tables, subsampling)


def _turn_table(table: list[int], *, axes_swapped: bool) -> tuple[int, ...]:
    return tuple(table[at] for at in _TRANSPOSED_TABLE_ORDER) if axes_swapped else tuple(table)


def _is_lossless_webp(untrusted_data: bytes) -> bool:
    """Return whether the first image chunk is VP8L (RFC 9649, 2.5 to 2.7).

    The chunk may be inside a frame.
    """
    at, end = 12, len(untrusted_data)
    while at + 8 <= end:
        name = untrusted_data[at : at + 4]
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        size = int.from_bytes(untrusted_data[at + 4 : at + 8], "little")
        at += 8 + (16 if name == b"ANMF" else size + (size & 1))
    return False


_STRIP_PIXELS_MAX: Final = 1_000_000
_ALPHA_MODES: Final = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_MEASUREMENT_MODES: Final = frozenset(
    {"I", "F"}
)  # modes with 32-bit numbers, which are measurements without a defined white
_IS_ZERO_LOOKUP: Final = [255] + [0] * 255


def samples_of(
    image: Image.Image, colour: ColourConversion, *, grey: bool
) -> tuple[bytes, bytes | None]:
    """Return ``(samples, alpha)`` of a loaded, upright image: H * W * 3 and H * W bytes.

    If the image is opaque everywhere, alpha is None. Where alpha is 0, the samples are black,
    so that invisible content is not passed on.

    Raises:
        NotAPicture: the samples are 32-bit integers or floats, which are measurements and not a
            picture.
    """
    if image.mode in _MEASUREMENT_MODES:
        raise NotAPicture
    samples, alphas = io.BytesIO(), io.BytesIO()
    for strip in _horizontal_strips(image):
        alpha = _alpha_of_strip(strip)
        rgb = _rgb_of_strip(strip, colour, grey=grey)
        if alpha is not None:
            rgb.paste((0, 0, 0), mask=alpha.point(_IS_ZERO_LOOKUP))
            alphas.write(alpha.tobytes())
        samples.write(rgb.tobytes())
    alpha_bytes = alphas.getvalue()
    opaque = alpha_bytes.count(b"\xff") == len(alpha_bytes)
    return samples.getvalue(), None if opaque else alpha_bytes


def _horizontal_strips(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS_MAX // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        yield strip


def _alpha_of_strip(strip: Image.Image) -> Image.Image | None:
    if strip.mode in _ALPHA_MODES or "transparency" in strip.info:
        return strip.convert("RGBA").getchannel("A")
    return None


def _rgb_of_strip(strip: Image.Image, colour: ColourConversion, *, grey: bool) -> Image.Image:
    plain = eight_bits(strip)
    if colour.transform is not None:
        plain = colour.transform.apply(convert_mode(plain, colour.mode))
    if grey:
        plain = convert_mode(plain, "L")
    return convert_mode(plain, "RGB")
