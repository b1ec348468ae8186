"""Still pictures: the decoded samples, and how the file was encoded.

No type here has a field for metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from entrenous.base.errors import Malformed, NotFound, Refused, Unreachable


class PictureFormat(StrEnum):
    """The file formats of pictures that this program reads."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    HEIC = "heic"
    AVIF = "avif"
    GIF = "gif"
    TIFF = "tiff"
    BMP = "bmp"

    @property
    def copy_format(self) -> "PictureFormat":
        """The format in which a copy is written.

        JPEG, PNG and WebP stay the same; HEIC and AVIF become JPEG, and all others become PNG.
        """
        if self in (PictureFormat.HEIC, PictureFormat.AVIF):
            return PictureFormat.JPEG
        if self in (PictureFormat.GIF, PictureFormat.TIFF, PictureFormat.BMP):
            return PictureFormat.PNG
        return self

    @property
    def suffix(self) -> str:
        """Return the file name suffix with its dot, such as ``.jpg``."""
        return ".jpg" if self is PictureFormat.JPEG else f".{self.value}"

    @property
    def media_type(self) -> str:
        """Return the media type (RFC 6838), such as ``image/jpeg``."""
        return f"image/{self.value}"


@dataclass(frozen=True, slots=True)
class PictureEncoding:
    """How a picture was encoded, so that a copy can be encoded in the same way.

    ``tables`` are JPEG quantisation tables (ITU-T T.81, B.2.4.1): luma in slot 0 and chroma in slot
    1, each with 64 numbers in natural order. ``subsampling`` is "4:4:4", "4:2:2", "4:2:0" or None
    if unknown. ``lossless`` distinguishes the two kinds of WebP.
    """

    format: PictureFormat
    grey: bool = False
    tables: Mapping[int, tuple[int, ...]] | None = None
    subsampling: str | None = None
    lossless: bool = False

    def __post_init__(self) -> None:
        if self.tables is not None and set(self.tables) not in ({0}, {0, 1}):
            raise ValueError("a JPEG's tables are in slot 0, or in 0 and 1")
        if any(len(table) != 64 or min(table) < 1 for table in (self.tables or {}).values()):
            raise ValueError("a quantisation table has 64 numbers, none of them 0")
        if self.subsampling not in (None, "4:4:4", "4:2:2", "4:2:0"):
            raise ValueError("an unknown subsampling")


# a JPEG decoder can reduce a picture's sides by these factors, because it can skip high frequencies
SHRINK_FACTORS: Final = (1, 2, 4, 8)


class OriginalSize(NamedTuple):
    """The upright size, in the file, of a picture that its decoder reduced.

    The decoder averages blocks of pixels from the left and the top, before any rotation. So the
    blocks of the last row and column may have fewer pixels. ``from_right`` and ``from_below`` say
    that rotation moved the first blocks to the right or to the bottom.
    """

    width_px: int
    height_px: int
    from_right: bool = False
    from_below: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Upright samples of one still picture.

    ``samples`` are 8-bit R, G, B interleaved, row by row, so ``height_px * width_px * 3`` bytes.
    Their colour space is that of ``profile``, an ICC profile reduced to its colour numbers; None
    means sRGB. A grey picture has one byte per pixel (``has_only_luma``) if its reader requested
    that. ``alpha`` has ``height_px * width_px`` bytes, or is None without transparency.
    ``original_size`` is the size in the file if the decoder reduced the picture by the factor
    ``shrunk_by``.
    ``numpy.asarray(picture)`` is a read-only (H, W, 3) uint8 view, without a copy.
    """

    width_px: int
    height_px: int
    samples: bytes
    encoding: PictureEncoding
    alpha: bytes | None = None
    profile: bytes | None = None
    original_size: OriginalSize | None = None

    def __post_init__(self) -> None:
        if self.shrunk_by not in SHRINK_FACTORS:
            raise ValueError("a decoder reduces a picture by 1, 2, 4 or 8")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError("a picture has at least one pixel")
        if len(self.samples) != self.pixel_count * (1 if self.has_only_luma else 3):
            raise ValueError("samples must be height x width x 3 bytes")
        if self.alpha is not None and len(self.alpha) != self.width_px * self.height_px:
            raise ValueError("alpha must be height x width bytes")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Return the samples in NumPy's array interface, version 3, without importing NumPy."""
        return {
            "version": 3,
            "shape": (self.height_px, self.width_px, 3),
            "typestr": "|u1",
            "data": self.samples,
            "strides": (self.width_px, 1, 0) if self.has_only_luma else None,
        }

    @property
    def shrunk_by(self) -> int:
        """The factor by which the decoder reduced each side; 0 if no factor explains the sizes."""
        if self.original_size is None:
            return 1
        size, full = (self.width_px, self.height_px), self.original_size[:2]
        fits = (
            factor
            for factor in SHRINK_FACTORS[1:]
            if tuple(-(-side // factor) for side in full) == size
        )
        return next(fits, 0)

    @property
    def has_only_luma(self) -> bool:
        """Whether each pixel has a single sample, the luma, in place of three."""
        return self.encoding.grey and len(self.samples) == self.pixel_count

    @property
    def pixel_count(self) -> int:
        return self.width_px * self.height_px


class EmptyFolder(NotFound):
    """There are no files in {path}, so nothing was traced. Choose a file or another folder."""


class NoSuchFile(NotFound):
    """
    There is no file at {path}. Nothing was changed or sent. Check the spelling, or drag the file
    onto the terminal window to fill in its path.
    """


class UnreadableFile(Refused):
    """
    {path} cannot be read: it is a folder, or permissions do not allow it. Nothing was changed.
    Choose a file that you are able to open.
    """


class NotAFile(Refused):
    """
    {path} is not a file but a pipe or a device, which may never end, so it was not read. Nothing
    was changed or sent. Save its data as a file, and use that file.
    """


class UnwritableFolder(Refused):
    """
    {path} cannot be written to: the folder cannot be created, or permissions do not allow it.
    Choose a folder of your own, and try again.
    """


class AlreadyThere(Refused):
    """
    There is already a file or folder called {path}. It was not changed, and nothing was written in
    its place. Choose another name or another folder.
    """


class NotAPicture(Malformed):
    """
    Entrenous cannot read this file as a picture. It reads JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF
    and BMP. Nothing was changed or sent. If the file opens in another program, save it from there
    as JPEG or PNG and try again.
    """


class IncompletePicture(Malformed):
    """
    This picture is incomplete: its end is missing, perhaps because a download was interrupted.
    Nothing was changed or sent. Get the whole file and try again.
    """


class TooManyPixels(Malformed):
    """
    This picture is {width_px} x {height_px} pixels, which is more than the {limit_mp} megapixels
    that Entrenous opens. It was not opened, because such files are often made to fill a computer's
    memory. Nothing was changed or sent. If you trust the file, make it smaller in another program
    first.
    """


class PictureDecodingFailed(Malformed):
    """
    Entrenous could not read this picture: the file is broken, or reading it took too much time or
    memory. Nothing was changed or sent. Open the picture in another program, save it again and use
    the new file.
    """


class DecoderDidNotStart(Unreachable):
    """
    The part of Entrenous that opens files did not start, so this file was not opened. Nothing was
    changed or sent. Your computer may be short of memory: close other programs and try again. If
    that does not help, reinstall Entrenous.
    """


class TooSmallToMark(Refused):
    """
    This picture is {width_px} x {height_px} pixels, too small to carry a hidden mark. Nothing was
    sent. Use a version with at least {limit_px} pixels on its shorter side.
    """


class OnlyPicturesHaveASize(Refused):
    """
    The option --size is for pictures only, and you chose only clips or sounds. Nothing was marked
    or sent. Leave --size out.
    """


class MediaKind(StrEnum):
    PICTURE = "picture"
    CLIP = "clip"  # a video, with or without sound
    SOUND = "sound"


class EmptyFile(Malformed):
    """
    {path} is empty: it has no bytes. Nothing was changed or sent. A download may have been
    interrupted, or the disk may have been full. Get the file again.
    """


class NoMediaFound(Malformed):
    """
    Entrenous found no picture, clip or sound in {path} that it can read. It reads pictures in JPEG,
    PNG, WebP, HEIC, AVIF, GIF, TIFF and BMP; clips in MP4, MOV, WebM and AVI; sounds in Opus, AAC,
    MP3, AMR, WAV, FLAC and Vorbis. Nothing was changed or sent. If the file opens in another
    program, save it from there as JPEG, MP4 or M4A and try again.
    """
