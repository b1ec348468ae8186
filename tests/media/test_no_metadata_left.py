"""Metadata planted in an original must not be in a copy, according to exiftool and the bytes."""

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

Write = Callable[..., bytes]
Tags = dict[str, Any]
MARKER = b"SPYGLASS"
JUDGES = Path(__file__).parents[3] / "shared" / "judges" / "metadata"

# Groups that only describe the file's structure, without data from a person or camera.
STRUCTURE = {
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
PNG_STRUCTURE = {
    "ImageWidth",
    "ImageHeight",
    "BitDepth",
    "ColorType",
    "Compression",
    "Filter",
    "Interlace",
    "ProfileName",
}
FIXED = {
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


def tags_of(exiftool: str, path: Path) -> Tags:
    """Return the tags that exiftool finds, unknown ones included, by ``group:name``."""
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


def left_over(tags: Tags) -> Tags:
    """Return the tags that describe more than the file's structure."""
    return {tag: value for tag, value in tags.items() if not _is_structure(tag, value)}


def _is_structure(tag: str, value: Any) -> bool:
    group, _, name = tag.partition(":")
    if group not in STRUCTURE or name in ("Comment", "Warning", "Error", "ExifByteOrder"):
        return False
    if tag in FIXED:
        return bool(value == FIXED[tag])
    return group != "PNG" or name in PNG_STRUCTURE


def profile_with_words() -> bytes:
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


def exif_with_everything() -> bytes:
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
def planted(
    request: pytest.FixtureRequest, exiftool: str, photo: Image.Image, write: Write, tmp_path: Path
) -> Path:
    """Return an original with everything that a picture can carry besides its pixels."""
    kind = request.param
    path = tmp_path / f"planted.{kind.lower()}"
    options = {"comment": MARKER} if kind == "JPEG" else {}
    data = write(
        photo, kind, exif=exif_with_everything(), icc_profile=profile_with_words(), **options
    )
    path.write_bytes(data)
    thumbnail = tmp_path / "thumbnail.jpg"
    thumbnail.write_bytes(write(photo.resize((80, 60)), "JPEG", comment=MARKER))
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
    # Remains of a larger picture that was overwritten in the file, as in CVE-2023-21036.
    path.write_bytes(path.read_bytes() + MARKER * 50 + data[-2000:])
    return path


@pytest.mark.threat("metadata")
def test_nothing_of_what_was_planted_is_in_the_copy(
    planted: Path, exiftool: str, tmp_path: Path
) -> None:
    original = tags_of(exiftool, planted)
    assert any("GPSLatitude" in tag for tag in original)
    assert sum(MARKER.decode() in str(value) for value in original.values()) >= 8
    assert len(left_over(original)) > 20

    copy = tmp_path / f"copy{planted.suffix}"
    copy.write_bytes(write_picture(decode_picture_untrusted(planted.read_bytes())))
    found = tags_of(exiftool, copy)
    assert left_over(found) == {}
    assert found["ICC_Profile:ProfileDescription"] == "Colour numbers"
    assert found["ICC_Profile:RedMatrixColumn"] == original["ICC_Profile:RedMatrixColumn"]
    shared = {
        tag
        for tag in found.keys() & original.keys()
        if found[tag] == original[tag] and len(str(found[tag])) > 5
    }
    assert {tag.partition(":")[0] for tag in shared} <= STRUCTURE
    for spelling in spellings(MARKER):
        assert spelling not in copy.read_bytes()


def spellings(marker: bytes) -> list[bytes]:
    """Return the marker as it is, in UTF-16, in hexadecimal, and in Base64."""
    text = marker.decode()
    wide = [text.encode("utf-16-le"), text.encode("utf-16-be")]
    return [marker, *wide, marker.hex().encode(), base64.b64encode(marker)[:8]]


def test_planted_in_pictures_that_change_their_format(
    photo: Image.Image, write: Write, exiftool: str, tmp_path: Path
) -> None:
    for kind, suffix in (("HEIF", "jpg"), ("AVIF", "jpg"), ("TIFF", "png")):
        data = write(photo, kind, exif=exif_with_everything())
        assert MARKER in data
        copy = tmp_path / f"{kind}.{suffix}"
        copy.write_bytes(write_picture(decode_picture_untrusted(data + MARKER)))
        assert left_over(tags_of(exiftool, copy)) == {}
        assert MARKER not in copy.read_bytes()


@pytest.mark.threat("metadata")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "heic", "avif", "tiff", "gif", "bmp"])
def test_dirty_files_of_others_come_out_clean(suffix: str, exiftool: str, tmp_path: Path) -> None:
    path = JUDGES / f"dirty.{suffix}"
    if not path.is_file():
        pytest.skip(f"no public test data: ../shared/judges/metadata/dirty.{suffix} is not there")
    data = path.read_bytes()
    picture = decode_picture_untrusted(data)
    assert picture == read_picture(data)
    copy = tmp_path / f"copy{picture.encoding.format.copy_format.suffix}"
    copy.write_bytes(write_picture(picture))
    assert left_over(tags_of(exiftool, copy)) == {}


@pytest.mark.parametrize("suffix", ["avi", "flac", "jxl", "mp3", "mp4", "ogg", "wav", "wmv"])
def test_dirty_files_that_are_no_pictures_are_refused(suffix: str) -> None:
    path = JUDGES / f"dirty.{suffix}"
    if not path.is_file():
        pytest.skip(f"no public test data: ../shared/judges/metadata/dirty.{suffix} is not there")
    with pytest.raises(NotAPicture):
        decode_picture_untrusted(path.read_bytes())
