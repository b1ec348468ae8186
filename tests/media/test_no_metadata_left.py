"""Tests that exiftool and a byte search find no metadata in copies.

Public test files that are not pictures are refused.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from entrenous.base.picture import NotAPicture
from entrenous.media.icc_profile import MatrixProfile, parse_profile, write_profile
from entrenous.media.picture_reader import read_picture
from entrenous.media.picture_writer import write_picture
from entrenous.media.sandbox.decoders import decode_picture_untrusted

pytestmark = pytest.mark.real

EncodeImage = Callable[..., bytes]
Tags = dict[str, Any]
MARKER = b"SPYGLASS"
PUBLIC_TEST_FILES = Path(__file__).parents[3] / "shared" / "judges" / "metadata"

# Groups of tags that describe a file's structure; ``_is_structure`` lists exceptions.
STRUCTURAL_GROUPS = {
    "ExifTool",
    "System",
    "File",
    "JFIF",
    "PNG",
    "RIFF",
    "Composite",
    "ICC-header",
    "ICC_Profile",
}
STRUCTURAL_PNG_TAGS = {
    "ImageWidth",
    "ImageHeight",
    "BitDepth",
    "ColorType",
    "Compression",
    "Filter",
    "Interlace",
    "ProfileName",
}
FIXED_TAG_VALUES = {
    "JFIF:ResolutionUnit": "None",
    "JFIF:XResolution": 1,
    "JFIF:YResolution": 1,
    "ICC_Profile:ProfileDescription": "Colour numbers",
    "ICC_Profile:ProfileCopyright": "CC0",
    "ICC-header:ProfileDateTime": "2000:01:01 00:00:00",
    "ICC-header:ProfileID": 0,
    "PNG:ProfileName": "ICC Profile",
}


@pytest.fixture(scope="module")
def exiftool() -> str:
    found = shutil.which("exiftool")
    if found is None:
        pytest.skip("exiftool is missing: apt install libimage-exiftool-perl")
    return found


def read_tags(exiftool: str, path: Path) -> Tags:
    """Return all tags that exiftool finds, including unknown tags, by ``group:name``."""
    done = subprocess.run(
        (exiftool, "-a", "-u", "-g1", "-j", "-ee", str(path)), check=True, capture_output=True
    )
    groups = json.loads(done.stdout)[0]
    return {
        f"{group}:{name}": value
        for group, names in groups.items()
        if isinstance(names, dict)
        for name, value in names.items()
    }


def non_structural_tags(tags: Tags) -> Tags:
    """Return the tags that describe more than the file's structure."""
    return {tag: value for tag, value in tags.items() if not _is_structure(tag, value)}


def _is_structure(tag: str, value: Any) -> bool:
    group, _, name = tag.partition(":")
    if group not in STRUCTURAL_GROUPS or name in ("Comment", "Warning", "Error", "ExifByteOrder"):
        return False
    if tag in FIXED_TAG_VALUES:
        return bool(value == FIXED_TAG_VALUES[tag])
    return group != "PNG" or name in STRUCTURAL_PNG_TAGS


def profile_naming_a_person() -> bytes:
    """Return an Adobe RGB profile whose description names a person."""
    curve = b"curv\0\0\0\0\0\0\0\1\2\x33"
    columns = ((39960, 20389, 1276), (13453, 41004, 3989), (9777, 4143, 48796))
    numbers = MatrixProfile(
        major=2,
        columns=tuple(b"".join(n.to_bytes(4) for n in column) for column in columns),  # type: ignore[arg-type]
        curves=(curve,) * 3,
        white=b"\0\0\xf3\x51\0\1\0\0\0\1\x16\xcc",
        adaptation=None,
    )
    data = write_profile(numbers)
    spoken = data.replace(b"Colour numbers", MARKER + b" Ana's")
    assert len(spoken) == len(data)
    assert parse_profile(spoken) == numbers
    return spoken


def exif_with_personal_data() -> bytes:
    """Return EXIF data with camera, owner, GPS, maker notes and a user comment."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "SPYGLASS Corp", "SPYGLASS 12 Pro"
    exif[0x013B], exif[0x8298] = "SPYGLASS Ana Ruiz", "SPYGLASS rights"
    exif[0x0132] = "2024:05:06 07:08:09"
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0xA431] = "2024:05:06 07:08:09", "SPYGLASS serial"
    details[0x927C] = b"Apple iOS\0\0\1MM" + b"\0\0" + MARKER * 20
    details[0x9286] = b"ASCII\0\0\0" + MARKER
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (48.0, 12.0, 30.5), "E", (16.0, 22.0, 11.0)
    place[29] = "2024:05:06"
    return exif.tobytes()


@pytest.fixture(params=["JPEG", "PNG", "WEBP"])
def original_with_metadata(
    request: pytest.FixtureRequest,
    exiftool: str,
    photo: Image.Image,
    encode_image: EncodeImage,
    tmp_path: Path,
) -> Path:
    """Return a picture with many kinds of metadata, such as EXIF, XMP and trailing bytes."""
    kind = request.param
    path = tmp_path / f"planted.{kind.lower()}"
    options = {"comment": MARKER} if kind == "JPEG" else {}
    data = encode_image(
        photo,
        kind,
        exif=exif_with_personal_data(),
        icc_profile=profile_naming_a_person(),
        **options,
    )
    path.write_bytes(data)
    thumbnail = tmp_path / "thumbnail.jpg"
    thumbnail.write_bytes(encode_image(photo.resize((80, 60)), "JPEG", comment=MARKER))
    changes = [
        "-XMP-dc:Creator=SPYGLASS Ana",
        "-XMP-xmpMM:DocumentID=SPYGLASS-id",
        "-XMP-iptcExt:LocationCreatedCity=SPYGLASStown",
        f"-ThumbnailImage<={thumbnail}",
    ]
    if kind == "JPEG":
        changes += ["-IPTC:By-line=SPYGLASS Ana", "-IPTC:Caption-Abstract=SPYGLASS caption"]
        changes += ["-Photoshop:CopyrightFlag=True", "-AFCP:By-line=SPYGLASS"]
    if kind == "PNG":
        changes += ["-PNG:Comment=SPYGLASS", "-PNG:Author=SPYGLASS Ana", "-PNG:ModifyDate=now"]
    subprocess.run(
        (exiftool, "-q", "-q", "-m", "-overwrite_original", *changes, str(path)), check=True
    )
    # Bytes after the picture's end, like the rest of an overwritten larger file (CVE-2023-21036).
    path.write_bytes(path.read_bytes() + MARKER * 50 + data[-2000:])
    return path


@pytest.mark.threat("metadata")
def test_copy_contains_no_planted_metadata(
    original_with_metadata: Path, exiftool: str, tmp_path: Path
) -> None:
    original = read_tags(exiftool, original_with_metadata)
    assert any("GPSLatitude" in tag for tag in original)
    assert sum(MARKER.decode() in str(value) for value in original.values()) >= 8
    assert len(non_structural_tags(original)) > 20

    copy = tmp_path / f"copy{original_with_metadata.suffix}"
    copy.write_bytes(write_picture(decode_picture_untrusted(original_with_metadata.read_bytes())))
    found = read_tags(exiftool, copy)
    assert non_structural_tags(found) == {}
    assert found["ICC_Profile:ProfileDescription"] == "Colour numbers"
    assert found["ICC_Profile:RedMatrixColumn"] == original["ICC_Profile:RedMatrixColumn"]
    shared = {
        tag
        for tag in found.keys() & original.keys()
        if found[tag] == original[tag] and len(str(found[tag])) > 5
    }
    assert {tag.partition(":")[0] for tag in shared} <= STRUCTURAL_GROUPS
    for spelling in marker_encodings(MARKER):
        assert spelling not in copy.read_bytes()


def marker_encodings(marker: bytes) -> list[bytes]:
    """Return the marker itself, its UTF-16 and hexadecimal forms, and the start of its Base64."""
    text = marker.decode()
    wide = [text.encode("utf-16-le"), text.encode("utf-16-be")]
    return [marker, *wide, marker.hex().encode(), base64.b64encode(marker)[:8]]


def test_converted_copy_contains_no_planted_metadata(
    photo: Image.Image, encode_image: EncodeImage, exiftool: str, tmp_path: Path
) -> None:
    for kind, suffix in (("HEIF", "jpg"), ("AVIF", "jpg"), ("TIFF", "png")):
        data = encode_image(photo, kind, exif=exif_with_personal_data())
        assert MARKER in data
        copy = tmp_path / f"{kind}.{suffix}"
        copy.write_bytes(write_picture(decode_picture_untrusted(data + MARKER)))
        assert non_structural_tags(read_tags(exiftool, copy)) == {}
        assert MARKER not in copy.read_bytes()


@pytest.mark.threat("metadata")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "heic", "avif", "tiff", "gif", "bmp"])
def test_copies_of_public_test_files_contain_no_metadata(
    suffix: str, exiftool: str, tmp_path: Path
) -> None:
    path = PUBLIC_TEST_FILES / f"dirty.{suffix}"
    if not path.is_file():
        pytest.skip(f"no public test data: ../shared/judges/metadata/dirty.{suffix} is not there")
    data = path.read_bytes()
    picture = decode_picture_untrusted(data)
    assert picture == read_picture(data)
    copy = tmp_path / f"copy{picture.encoding.format.copy_format.suffix}"
    copy.write_bytes(write_picture(picture))
    assert non_structural_tags(read_tags(exiftool, copy)) == {}


@pytest.mark.parametrize("suffix", ["avi", "flac", "jxl", "mp3", "mp4", "ogg", "wav", "wmv"])
def test_public_test_files_that_are_no_pictures_are_refused(suffix: str) -> None:
    path = PUBLIC_TEST_FILES / f"dirty.{suffix}"
    if not path.is_file():
        pytest.skip(f"no public test data: ../shared/judges/metadata/dirty.{suffix} is not there")
    with pytest.raises(NotAPicture):
        decode_picture_untrusted(path.read_bytes())
