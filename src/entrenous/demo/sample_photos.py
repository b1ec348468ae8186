"""The demonstration's photos: harmless ones from installed packages, or the person's own."""

import io
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pillow_heif
from PIL import Image

from entrenous.base.errors import NotFound
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.terminal.output_files import read_file


class PhotoMissing(NotFound):
    """
    The demonstration's photo comes with scikit-image, which is not installed here. Nothing was
    changed. Use a photo of your own: entrenous demo --photo PATH. Or run the demonstration with:
    make demo
    """


# A position in the middle of the Atlantic, where nobody lives.
SAMPLE_LATITUDE: Final = (Fraction(30), Fraction(0), Fraction(1234, 100))
SAMPLE_LONGITUDE: Final = (Fraction(40), Fraction(0), Fraction(5678, 100))
# EXIF 2.32 tag numbers
_MAKE, _MODEL, _SOFTWARE, _DATE, _ORIENTATION = 0x010F, 0x0110, 0x0131, 0x0132, 0x0112
_GPS_IFD: Final = 0x8825
_THUMBNAIL_IFD: Final = 1
_JPEG_START: Final = b"\xff\xd8"
_APP1_MARKER: Final = b"\xff\xe1"
_ISO_MEDIA_MARKER: Final = b"ftyp"


def prepare_main_photo(given: Path | None) -> bytes:
    """Return the photo to send, with a position added if its format allows.

    ``given`` is the person's own photo; if it is None, scikit-image's NASA portrait of Eileen
    Collins is used.

    Raises NoSuchFile, NotAPicture, IncompletePicture, TooManyPixels, PhotoMissing.
    """
    if given is None:
        return add_position_if_jpeg(_load_from_scikit_image("astronaut"))
    untrusted_photo = read_file(given)
    # a bad file is reported here, before anything is started
    decode_picture_untrusted(untrusted_photo)
    return add_position_if_jpeg(untrusted_photo)


def open_picture(photo: bytes) -> Image.Image:
    """Open a picture of any supported format, AVIF and HEIC included, with its metadata."""
    if photo[4:8] == _ISO_MEDIA_MARKER:
        pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(photo))


def load_recalled_photo() -> bytes:
    """Return the photo of the message that is recalled."""
    return _load_from_scikit_image("chelsea")


def load_unrelated_photo() -> bytes:
    return _load_from_scikit_image("coffee")


def add_position_if_jpeg(photo: bytes) -> bytes:
    """Add GPS metadata to a JPEG without changing its pixels; return other formats unchanged."""
    if not photo.startswith(_JPEG_START):
        return photo
    exif = Image.Exif()
    exif[_MAKE] = "Example Camera"
    exif[_DATE] = "2026:11:25 12:00:00"
    exif.get_ifd(_GPS_IFD).update(
        {
            1: "N",
            2: tuple(map(float, SAMPLE_LATITUDE)),
            3: "W",
            4: tuple(map(float, SAMPLE_LONGITUDE)),
        }
    )
    with open_picture(photo) as opened:
        turned = opened.getexif().get(_ORIENTATION)
    if turned is not None:
        exif[_ORIENTATION] = turned
    segment = exif.tobytes()
    head = _APP1_MARKER + (len(segment) + 2).to_bytes(2, "big") + segment
    return _JPEG_START + head + photo[len(_JPEG_START) :]


def file_metadata(photo: bytes) -> tuple[tuple[str, str], ...]:
    """Return those metadata of a file that the page lists, as pairs of label and value."""
    with open_picture(photo) as opened:
        exif = opened.getexif()
        known = {
            "Place": _position_from_gps(exif.get_ifd(_GPS_IFD)),
            "Camera": " ".join(str(exif[tag]) for tag in (_MAKE, _MODEL) if tag in exif),
            "Date": str(exif.get(_DATE, "")),
            "Program": str(exif.get(_SOFTWARE, "")),
            "Hidden picture": "an embedded thumbnail" if exif.get_ifd(_THUMBNAIL_IFD) else "",
            "Comment": "a text" if opened.info.get("comment") else "",
            "XMP": "a block of metadata" if opened.info.get("xmp") else "",
        }
    return tuple((label, value) for label, value in known.items() if value)


def _position_from_gps(gps: Mapping[int, Any]) -> str:
    try:
        return f"{_degrees_from_parts(gps[2])} {gps[1]}, {_degrees_from_parts(gps[4])} {gps[3]}"
    except (KeyError, TypeError, ValueError):
        return "a GPS position" if gps else ""


def _degrees_from_parts(parts: Iterable[Any]) -> str:
    degrees, minutes, seconds = map(float, parts)
    return f"{degrees:.0f}° {minutes:.0f}' {seconds:.2f}\""


def _load_from_scikit_image(name: str) -> bytes:
    try:
        from skimage import data  # noqa: PLC0415 - only the demonstration needs it
    except ImportError:
        raise PhotoMissing from None
    file = io.BytesIO()
    Image.fromarray(getattr(data, name)()).convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()
