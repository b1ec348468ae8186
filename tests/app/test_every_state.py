"""Tests of every state of the story: accessibility, translatable words, scripts in typed texts, the
pages' content security policy, and the browser's profile.

All tests but the nightly one use the record of one walk; see ``story_record.py``.
"""

import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.app.page_walker import visit_states
from tests.app.presentations import PRESENTATIONS
from tests.app.states import STATES, all_states, open_story
from tests.app.story_record import (
    LEFT_BY_OTHER_SITE,
    StoryRecord,
    faults_in_all_presentations,
    record_story,
)

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(1800)]

_WINDOW_BITS_BY_MAGIC: Final = {
    b"\x1f\x8b\x08": 31,
    b"\x78\x9c": 15,
    b"\x78\xda": 15,
    b"\x78\x01": 15,
}
_PART_BYTES: Final = 24  # length of the parts that ``_picture_parts`` yields


@pytest.fixture(scope="module")
def record(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> StoryRecord:
    return record_story(browser, tmp_path_factory.mktemp("story"))


def test_every_state_is_accessible_in_five_presentations(record: StoryRecord) -> None:
    """The pages are in the pseudo-language, whose sentences are longer than in English."""
    assert record.states == list(STATES.items())
    assert not record.accessibility_faults, "\n".join(record.accessibility_faults)
    sys.stdout.write(
        f"{len(record.states)} page states in {len(PRESENTATIONS)} presentations: axe 0\n"
    )


@pytest.mark.nightly
def test_every_state_is_accessible_in_english(browser: Browser, tmp_path: Path) -> None:
    faults, seen = list[str](), list[tuple[str, str]]()
    with open_story(browser, tmp_path) as story:
        for state, route in visit_states(all_states(story), story.ana):
            seen.append((state, route))
            faults += [f"{state}, {fault}" for fault in faults_in_all_presentations(story.ana.page)]
    assert not faults, "\n".join(faults)
    assert seen == list(STATES.items())


def test_words_are_translatable_and_pages_are_right_to_left(record: StoryRecord) -> None:
    """In the pseudo-language, translatable sentences are in brackets, so a word outside of brackets
    cannot be translated. Lessons are not checked: each language has its own files of lessons.
    """
    assert not record.untranslated, "\n".join(record.untranslated)
    assert record.directions == {"rtl"}


@pytest.mark.threat("page-stored-script")
def test_typed_texts_never_run_as_scripts(record: StoryRecord) -> None:
    assert record.states == list(STATES.items())
    assert record.injected_states == []


@pytest.mark.threat("page-stored-script")
def test_pages_violate_no_policy_and_request_no_other_origin(record: StoryRecord) -> None:
    assert record.faults == []


@pytest.mark.threat("page-kept-by-browser")
def test_browser_profile_contains_no_typed_text_and_no_shown_picture(record: StoryRecord) -> None:
    data = list(_profile_contents(record.profile))
    parts = {part for picture in record.pictures for part in _picture_parts(picture)}
    assert len(parts) > 12
    found = [
        (name, needle)
        for name, text in data
        for needle in [*_encodings_of(record.random_words), *parts]
        if needle in text
    ]
    assert found == []
    titles = [name for name, text in data if b"History" in name.encode() and b"Page" in text]
    assert titles, "the history was written, and has the neutral title"


def test_profile_search_finds_data_of_another_site(record: StoryRecord) -> None:
    """A search that finds nothing proves something only if it can find data in the profile."""
    files = {
        name
        for name, text in _profile_contents(record.profile)
        if LEFT_BY_OTHER_SITE["title"].encode() in text
    }
    assert any("History" in place for place in files)
    texts = [text for _, text in _profile_contents(record.profile)]
    found_keys = {
        key
        for key, value in LEFT_BY_OTHER_SITE.items()
        if any(value.encode() in text for text in texts)
    }
    assert found_keys >= {"title", "body", "storage"}


def _picture_parts(picture: bytes) -> Iterator[bytes]:
    """Yield parts of a picture's file, each with enough different bytes to identify the picture."""
    for at in range(len(picture) // 3, len(picture) - _PART_BYTES, max(1, len(picture) // 4)):
        part = picture[at : at + _PART_BYTES]
        if len(set(part)) > _PART_BYTES // 2:
            yield part


def _encodings_of(words: list[str]) -> list[bytes]:
    return [word.encode(coding) for word in words for coding in ("utf-8", "utf-16-le", "utf-16-be")]


def _profile_contents(profile: Path) -> Iterator[tuple[str, bytes]]:
    """For each file, yield its path three times: with the content, with the file's name, and with
    the decompressed streams.
    """
    for file in sorted(profile.rglob("*")):
        if file.is_file():
            text = file.read_bytes()
            yield str(file.relative_to(profile)), text
            yield str(file.relative_to(profile)), file.name.encode()
            yield str(file.relative_to(profile)), b"".join(_decompress(text))


def _decompress(text: bytes) -> Iterator[bytes]:
    """Yield the decompressed gzip and zlib streams in the text."""
    for start, bits in _WINDOW_BITS_BY_MAGIC.items():
        at = text.find(start)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(text[at:], 1 << 24)
            at = text.find(start, at + 1)
