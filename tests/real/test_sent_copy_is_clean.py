"""The copy of a photograph full of metadata, sent by real commands, has none of the metadata."""

import shutil

import pytest
from PIL import Image

from tests.media.test_no_metadata_left import MARKER, left_over, spellings, tags_of
from tests.real.evening import KINDS, TRAILER, Evening

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def exiftool() -> str:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is missing: apt install libimage-exiftool-perl")
    return program


@pytest.mark.parametrize("kind", KINDS)
def test_exiftool_finds_nothing_in_the_copy_that_was_opened(
    told: Evening, exiftool: str, kind: str
) -> None:
    original, copy = told.originals[kind], told.copies[kind]
    planted = tags_of(exiftool, original)
    for part in ("GPSLatitude", "ThumbnailImage", "XMP-dc:Creator", "Make", "SerialNumber"):
        assert any(part in tag for tag in planted), part
    assert len(left_over(planted)) > 15
    assert left_over(tags_of(exiftool, copy)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_no_spelling_of_what_was_planted_is_in_its_bytes(told: Evening, kind: str) -> None:
    assert TRAILER in told.originals[kind].read_bytes()
    data = told.copies[kind].read_bytes()
    for spelling in spellings(MARKER):
        assert spelling not in data
    for name in ("quillfeather", "Quillfeather", "Ossington"):
        assert name.encode() not in data


@pytest.mark.parametrize("kind", KINDS)
def test_the_copy_is_the_picture_in_its_own_format_under_a_neutral_name(
    told: Evening, kind: str
) -> None:
    copy = told.copies[kind]
    with Image.open(told.originals[kind]) as before, Image.open(copy) as after:
        assert (after.format, after.size) == (before.format, before.size)
    assert copy.name == f"{told.messages[0]}-{1 + KINDS.index(kind)}.{kind}"
    assert copy.stat().st_mode & 0o777 == 0o600
