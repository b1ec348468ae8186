"""Tests that a translated lesson has the same steps, sources, links and commands."""

import re
from collections import Counter

import pytest

from entrenous.app.wording import without_commands
from entrenous.base.language import ENGLISH, LANGUAGES, speaking
from entrenous.learn.export import PaperSize, render_lesson_sheet
from entrenous.learn.lesson import Lesson, lessons_in_language
from tests.house.sources import SOURCE
from tests.learn.test_lesson import WORDS_A_MINUTE, every_word
from tests.sizes import size

FOLDER = SOURCE / "learn" / "lessons"
OTHERS = [tag for tag in LANGUAGES if tag != ENGLISH]
PAIRS = [
    pytest.param(tag, *pair, id=f"{tag}-{pair[0].name}")
    for tag in OTHERS
    for pair in zip(lessons_in_language(ENGLISH), lessons_in_language(tag), strict=True)
]
each = pytest.mark.parametrize(("tag", "english", "one"), PAIRS)
_COMMAND = re.compile(r"entrenous [a-z-]+(?: --[a-z-]+)?")
_ADDRESS = re.compile(r"\b[a-z]+\.[a-z]+/[a-z]+")


@pytest.mark.parametrize("tag", OTHERS)
def test_a_language_has_every_lesson_and_no_other(tag: str) -> None:
    names = {file.name for file in (FOLDER / tag).iterdir()}
    assert names == {f"{one.name}.md" for one in lessons_in_language(ENGLISH)}


@each
def test_it_has_the_same_fields_sources_and_days(tag: str, english: Lesson, one: Lesson) -> None:
    assert (one.name, one.order, one.sources) == (english.name, english.order, english.sources)
    assert one.question.right == english.question.right
    assert len(set(one.question.choices)) == len(english.question.choices)
    same = [text for text in _texts(one) if text in _texts(english)]
    assert same == [], f"not translated into {tag}"


@each
def test_it_has_the_same_headings_and_steps(tag: str, english: Lesson, one: Lesson) -> None:
    steps = [(block.kind, block.number) for block in one.blocks]
    assert steps == [(block.kind, block.number) for block in english.blocks], tag


@each
def test_it_names_the_same_links_and_commands(tag: str, english: Lesson, one: Lesson) -> None:
    for marks in (_codes, _links, _bold):
        assert marks(one) == marks(english), tag
    for pattern in (_COMMAND, _ADDRESS):
        assert _counted(pattern, one) == _counted(pattern, english), tag


@each
def test_it_is_short_and_names_no_command_on_a_page(tag: str, english: Lesson, one: Lesson) -> None:
    """A translation may have 15% more words; pages of the app show no commands."""
    words, own = (len(re.findall(r"[\w'-]+", every_word(text))) for text in (english, one))
    assert own < max(1.15 * words, 5 * WORDS_A_MINUTE), tag
    assert not one.closes.endswith(".")
    assert "entrenous " not in without_commands(one.try_now)


@pytest.mark.parametrize("tag", OTHERS)
def test_the_longest_lessons_fit_on_a_sheet(tag: str) -> None:
    """A sheet takes 0.2 s to render, and if the longest lessons fit, the others do."""
    longest_first = sorted(lessons_in_language(tag), key=lambda one: -len(every_word(one)))
    with speaking(tag):
        for one in longest_first[: size(3, len(longest_first))]:
            assert render_lesson_sheet(one, PaperSize.LETTER).startswith(b"%PDF")


def _texts(one: Lesson) -> tuple[str, ...]:
    quiz = one.question
    short = (one.title, one.closes, one.try_now, one.undo, quiz.ask, *quiz.choices, quiz.why)
    return (*short, *(block.text for block in one.blocks))


def _codes(one: Lesson) -> Counter[str]:
    return Counter(span.text for block in one.blocks for span in block.spans if span.code)


def _links(one: Lesson) -> Counter[str]:
    return Counter(span.url for block in one.blocks for span in block.spans if span.url)


def _bold(one: Lesson) -> list[bool]:
    """Return for each block whether it contains bold text."""
    return [any(span.strong for span in block.spans) for block in one.blocks]


def _counted(pattern: re.Pattern[str], one: Lesson) -> Counter[str]:
    return Counter(found for text in _texts(one) for found in pattern.findall(text))
