"""Real commands send copies of photographs that are full of metadata. The copies contain none of
the metadata, keep the format of the original, and have neutral names.
"""

import shutil

import pytest
from PIL import Image

from tests.media.test_no_metadata_left import (
    MARKER,
    marker_encodings,
    non_structural_tags,
    read_tags,
)
from tests.real.evening import PHOTO_SUFFIXES, TRAILER, Evening

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def exiftool() -> str:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is missing: apt install libimage-exiftool-perl")
    return program


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_exiftool_finds_no_metadata_in_the_opened_copy(
    evening: Evening, exiftool: str, suffix: str
) -> None:
    original, copy = evening.originals[suffix], evening.copies[suffix]
    planted = read_tags(exiftool, original)
    for part in ("GPSLatitude", "ThumbnailImage", "XMP-dc:Creator", "Make", "SerialNumber"):
        assert any(part in tag for tag in planted), part
    assert len(non_structural_tags(planted)) > 15
    assert non_structural_tags(read_tags(exiftool, copy)) == {}


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_copy_contains_no_spelling_of_the_planted_metadata(evening: Evening, suffix: str) -> None:
    assert TRAILER in evening.originals[suffix].read_bytes()
    data = evening.copies[suffix].read_bytes()
    for spelling in marker_encodings(MARKER):
        assert spelling not in data
    for name in ("quillfeather", "Quillfeather", "Ossington"):
        assert name.encode() not in data


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_copy_has_the_original_format_and_a_neutral_name(evening: Evening, suffix: str) -> None:
    copy = evening.copies[suffix]
    with Image.open(evening.originals[suffix]) as before, Image.open(copy) as after:
        assert (after.format, after.size) == (before.format, before.size)
    assert copy.name == f"{evening.message_names[0]}-{1 + PHOTO_SUFFIXES.index(suffix)}.{suffix}"
    assert copy.stat().st_mode & 0o777 == 0o600
