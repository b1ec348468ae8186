"""Tests that translated lessons are short and keep the English sources, links and commands."""

import re
from collections import Counter

import pytest

from entrenous.app.wording import without_commands
from entrenous.base.language import ENGLISH, LANGUAGES, speaking
from entrenous.learn.export import PaperSize, render_lesson_sheet
from entrenous.learn.lesson import Lesson, lessons_in_language
from tests.house.sources import SOURCE
from tests.learn.test_lesson import WORDS_A_MINUTE, full_text
from tests.sizes import size

LESSONS_FOLDER = SOURCE / "learn" / "lessons"
TRANSLATED_LANGUAGES = [tag for tag in LANGUAGES if tag != ENGLISH]
LESSON_PAIRS = [
    pytest.param(tag, *pair, id=f"{tag}-{pair[0].name}")
    for tag in TRANSLATED_LANGUAGES
    for pair in zip(lessons_in_language(ENGLISH), lessons_in_language(tag), strict=True)
]
each_translation = pytest.mark.parametrize(("tag", "english", "translation"), LESSON_PAIRS)
_COMMAND = re.compile(r"entrenous [a-z-]+(?: --[a-z-]+)?")
_ADDRESS = re.compile(r"\b[a-z]+\.[a-z]+/[a-z]+")


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_each_language_has_exactly_the_english_lessons(tag: str) -> None:
    names = {file.name for file in (LESSONS_FOLDER / tag).iterdir()}
    assert names == {f"{lesson.name}.md" for lesson in lessons_in_language(ENGLISH)}


@each_translation
def test_translation_has_the_same_sources_and_right_choice_and_no_english_text(
    tag: str, english: Lesson, translation: Lesson
) -> None:
    assert (translation.name, translation.order, translation.sources) == (
        english.name,
        english.order,
        english.sources,
    )
    assert translation.question.right == english.question.right
    assert len(set(translation.question.choices)) == len(english.question.choices)
    same = [text for text in _text_parts(translation) if text in _text_parts(english)]
    assert same == [], f"not translated into {tag}"


@each_translation
def test_translation_has_blocks_of_the_same_kinds_and_numbers(
    tag: str, english: Lesson, translation: Lesson
) -> None:
    steps = [(block.kind, block.number) for block in translation.blocks]
    assert steps == [(block.kind, block.number) for block in english.blocks], tag


@each_translation
def test_translation_has_the_same_links_commands_and_bold_blocks(
    tag: str, english: Lesson, translation: Lesson
) -> None:
    for parts_of in (_code_spans, _link_urls, _bold_flags):
        assert parts_of(translation) == parts_of(english), tag
    for pattern in (_COMMAND, _ADDRESS):
        assert _count_matches(pattern, translation) == _count_matches(pattern, english), tag


@each_translation
def test_translation_is_short_and_its_exercise_shows_no_command_in_the_app(
    tag: str, english: Lesson, translation: Lesson
) -> None:
    """The limit is 550 words or 115% of the words of the English lesson, whichever is more."""
    english_words, words = (
        len(re.findall(r"[\w'-]+", full_text(lesson))) for lesson in (english, translation)
    )
    assert words < max(1.15 * english_words, 5 * WORDS_A_MINUTE), tag
    assert not translation.closes.endswith(".")
    assert "entrenous " not in without_commands(translation.try_now)


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_longest_lessons_fit_on_one_sheet_of_us_letter_paper(tag: str) -> None:
    """Only nightly runs render every lesson, because rendering is slow."""
    longest_first = sorted(lessons_in_language(tag), key=lambda lesson: -len(full_text(lesson)))
    with speaking(tag):
        for lesson in longest_first[: size(3, len(longest_first))]:
            assert render_lesson_sheet(lesson, PaperSize.LETTER).startswith(b"%PDF")


def _text_parts(lesson: Lesson) -> tuple[str, ...]:
    quiz = lesson.question
    short = (
        lesson.title,
        lesson.closes,
        lesson.try_now,
        lesson.undo,
        quiz.ask,
        *quiz.choices,
        quiz.why,
    )
    return (*short, *(block.text for block in lesson.blocks))


def _code_spans(lesson: Lesson) -> Counter[str]:
    return Counter(span.text for block in lesson.blocks for span in block.spans if span.code)


def _link_urls(lesson: Lesson) -> Counter[str]:
    return Counter(span.url for block in lesson.blocks for span in block.spans if span.url)


def _bold_flags(lesson: Lesson) -> list[bool]:
    """Return whether each block contains bold text, in the order of the blocks."""
    return [any(span.strong for span in block.spans) for block in lesson.blocks]


def _count_matches(pattern: re.Pattern[str], lesson: Lesson) -> Counter[str]:
    return Counter(found for text in _text_parts(lesson) for found in pattern.findall(text))
