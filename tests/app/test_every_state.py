"""Every page in every state of the story is accessible, translated, safe, and leaves no trace.

One walk serves all of these tests; see ``telling.py``.
"""

import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.app.page_walker import walked
from tests.app.presentations import PRESENTATIONS
from tests.app.states import STATES, a_world, all_states
from tests.app.telling import LEFT, Told, faults_in_presentations, tell

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(1800)]

_COMPRESSED: Final = {b"\x1f\x8b\x08": 31, b"\x78\x9c": 15, b"\x78\xda": 15, b"\x78\x01": 15}
_PIECE: Final = 24  # bytes of a picture that are searched for


@pytest.fixture(scope="module")
def told(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return tell(browser, tmp_path_factory.mktemp("story"))


def test_every_state_is_for_everybody_in_five_presentations(told: Told) -> None:
    """The pseudo-language has longer sentences than English; the fifth presentation is RTL."""
    assert told.states == list(STATES.items())
    assert not told.looks, "\n".join(told.looks)
    sys.stdout.write(
        f"{len(told.states)} page states in {len(PRESENTATIONS)} presentations: axe 0\n"
    )


@pytest.mark.nightly
def test_every_state_is_for_everybody_in_english(browser: Browser, tmp_path: Path) -> None:
    faults, seen = list[str](), list[tuple[str, str]]()
    with a_world(browser, tmp_path) as world:
        for state, route in walked(all_states(world), world.ana):
            seen.append((state, route))
            faults += [f"{state}, {fault}" for fault in faults_in_presentations(world.ana.page)]
    assert not faults, "\n".join(faults)
    assert seen == list(STATES.items())


def test_every_word_of_ours_is_in_brackets_from_right_to_left(told: Told) -> None:
    """A word that cannot be translated has no brackets in the pseudo-language."""
    assert not told.untranslated, "\n".join(told.untranslated)
    assert told.directions == {"rtl"}


@pytest.mark.threat("page-stored-script")
def test_what_strangers_write_is_text_alone(told: Told) -> None:
    assert told.states == list(STATES.items())
    assert told.injected == []


@pytest.mark.threat("page-stored-script")
def test_no_policy_is_broken_and_nothing_goes_elsewhere(told: Told) -> None:
    assert told.faults == []


@pytest.mark.threat("page-kept-by-browser")
def test_the_browsers_profile_has_nothing_of_it(told: Told) -> None:
    data = list(_all_of(told.profile))
    pieces = {piece for picture in told.pictures for piece in _pieces(picture)}
    assert len(pieces) > 12
    found = [
        (name, needle)
        for name, text in data
        for needle in [*_forms_of(told.words), *pieces]
        if needle in text
    ]
    assert found == []
    titles = [name for name, text in data if b"History" in name.encode() and b"Page" in text]
    assert titles, "the history was written, and has the neutral title"


def test_the_search_finds_what_another_site_leaves(told: Told) -> None:
    """Otherwise the test above could pass because the search finds nothing at all."""
    places = {name for name, text in _all_of(told.profile) if LEFT["title"].encode() in text}
    assert any("History" in place for place in places)
    texts = [text for _, text in _all_of(told.profile)]
    kept = {key for key, left in LEFT.items() if any(left.encode() in text for text in texts)}
    assert kept >= {"title", "body", "storage"}


def _pieces(picture: bytes) -> Iterator[bytes]:
    """Yield short parts of a picture's compressed pixels, which are unique to the picture."""
    for at in range(len(picture) // 3, len(picture) - _PIECE, max(1, len(picture) // 4)):
        piece = picture[at : at + _PIECE]
        if len(set(piece)) > _PIECE // 2:
            yield piece


def _forms_of(words: list[str]) -> list[bytes]:
    return [word.encode(coding) for word in words for coding in ("utf-8", "utf-16-le", "utf-16-be")]


def _all_of(profile: Path) -> Iterator[tuple[str, bytes]]:
    """Yield, with its path, each file's content, its name, and what is decompressed from it."""
    for file in sorted(profile.rglob("*")):
        if file.is_file():
            text = file.read_bytes()
            yield str(file.relative_to(profile)), text
            yield str(file.relative_to(profile)), file.name.encode()
            yield str(file.relative_to(profile)), b"".join(_inflated(text))


def _inflated(text: bytes) -> Iterator[bytes]:
    """Yield what can be decompressed as gzip or zlib; the app sends its pages uncompressed."""
    for start, bits in _COMPRESSED.items():
        at = text.find(start)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(text[at:], 1 << 24)
            at = text.find(start, at + 1)
