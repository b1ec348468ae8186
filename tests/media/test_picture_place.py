"""Tests of detecting a GPS position in the EXIF or XMP data of picture files."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from entrenous.base.picture import NotAPicture
from entrenous.media.picture_place import has_gps_place
from tests.media.conftest import EncodeImage

FORMATS_WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")


def exif_data(*, gps: dict[int, object] | None = None) -> bytes:
    data = Image.Exif()
    data[0x010F] = "A camera"
    if gps is not None:
        data.get_ifd(0x8825).update(gps)
    return data.tobytes()


PRAGUE_GPS: dict[int, object] = {1: "N", 2: (50.0, 5.0, 15.0), 3: "E", 4: (14.0, 25.0, 10.0)}


@pytest.mark.parametrize("kind", FORMATS_WITH_EXIF)
def test_place_in_exif_is_found(kind: str, photo: Image.Image, encode_image: EncodeImage) -> None:
    assert has_gps_place(encode_image(photo, kind, exif=exif_data(gps=PRAGUE_GPS))) is True


@pytest.mark.parametrize("kind", FORMATS_WITH_EXIF)
def test_exif_without_gps_has_no_place(
    kind: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    assert has_gps_place(encode_image(photo, kind, exif=exif_data())) is False


def test_files_without_metadata_have_no_place(picture_files: dict[str, bytes]) -> None:
    assert {has_gps_place(data) for data in picture_files.values()} == {False}


@pytest.mark.parametrize(
    "gps",
    [
        {0: b"\2\3\0\0"},
        {29: "2024:05:06", 7: (7.0, 8.0, 9.0)},
        {1: "N", 2: (50.0, 5.0, 15.0)},
    ],
)
def test_gps_needs_both_latitude_and_longitude(
    gps: dict[int, object], photo: Image.Image, encode_image: EncodeImage
) -> None:
    assert has_gps_place(encode_image(photo, "JPEG", exif=exif_data(gps=gps))) is False


def test_gps_latitude_of_zero_over_zero_is_no_place(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = encode_image(photo, "JPEG", exif=exif_data(gps=PRAGUE_GPS))
    number = struct.pack(">II", 50, 1)
    number = number if number in data else struct.pack("<II", 50, 1)
    assert data.count(number) == 1
    assert has_gps_place(data.replace(number, bytes(8))) is False


@pytest.mark.parametrize("kind", [kind for kind in FORMATS_WITH_EXIF if kind != "AVIF"] + ["GIF"])
@pytest.mark.real
def test_place_in_xmp_without_exif_is_found(
    kind: str, photo: Image.Image, encode_image: EncodeImage, tmp_path: Path
) -> None:
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        pytest.skip("exiftool is missing: apt install libimage-exiftool-perl")
    path = tmp_path / f"one.{'heic' if kind == 'HEIF' else kind.lower()}"
    path.write_bytes(encode_image(photo, kind))
    changes = ("-XMP-exif:GPSLatitude=50.0875", "-XMP-exif:GPSLongitude=14.4197")
    done = subprocess.run((exiftool, "-q", "-overwrite_original", *changes, str(path)), check=False)
    if done.returncode:
        pytest.skip(f"this exiftool writes no XMP into {kind}")
    seen = subprocess.run((exiftool, "-GPSPosition", path), capture_output=True, check=True)
    assert seen.stdout
    assert has_gps_place(path.read_bytes()) is True


@pytest.mark.parametrize("kind", FORMATS_WITH_EXIF)
def test_truncation_never_makes_up_a_place(
    kind: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = encode_image(photo, kind, exif=exif_data())
    for end in range(16, len(data), max(1, len(data) // 200)):
        try:
            assert has_gps_place(data[:end]) is not True
        except NotAPicture:
            assert end < 32


def test_damaged_metadata_makes_the_place_unknown(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = encode_image(photo, "JPEG", exif=exif_data(gps=PRAGUE_GPS))
    at = data.index(b"Exif\0\0") + 10  # the offset of the first directory
    assert has_gps_place(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]) is None


def test_a_text_is_no_picture() -> None:
    with pytest.raises(NotAPicture):
        has_gps_place(b"GPSLatitude")
