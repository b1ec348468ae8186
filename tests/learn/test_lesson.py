"""Tests of lessons: length, readability, sources, and one thing to try; and of their parser."""

import re
from datetime import date

import pytest

from entrenous.learn.lesson import (
    BadLesson,
    Lesson,
    NoSuchLesson,
    all_lessons,
    find_lesson,
    is_right_choice,
    lesson_as_text,
    read_lesson,
    verdict_in_words,
)
from tests.house.test_docs import wrong_with
from tests.learn.readability import grade, syllables

NAMES = (
    *("weak-encryption", "old-software", "open-networks", "hacked-account", "wrong-recipient"),
    *("lost-device", "somebody-passes-it-on", "being-asked", "being-threatened"),
    *("when-a-picture-reaches-you", "where-copies-hide", "watched-devices"),
    *("helping-a-friend", "the-first-hour"),
)
WORDS_A_MINUTE = 110  # a child of 12 who reads slowly; adults read at about 240
GRADE_MAX = 6.0  # Flesch-Kincaid: the school year that begins at age 11
GOOD = """+++
order = 1
title = "a"
closes = "b"
try_now = "c"
undo = "d"
[[sources]]
title = "e"
url = "https://example.org"
read_on = 2026-11-30
[question]
ask = "f"
choices = ["g", "h"]
right = 2
why = "i"
+++
## One

Words, and `code`.
"""


def every_word(one: Lesson) -> str:
    """Return the text of a lesson and of its question, with empty lines between the parts."""
    quiz = one.question
    parts = (one.title, *(block.text for block in one.blocks), one.try_now, one.undo, one.closes)
    return "\n\n".join((*parts, quiz.ask, *quiz.choices, quiz.why))


each = pytest.mark.parametrize("one", all_lessons(), ids=lambda one: one.name)


def test_there_are_fourteen_lessons_in_an_order_of_their_own() -> None:
    assert tuple(one.name for one in all_lessons()) == NAMES
    assert [one.order for one in all_lessons()] == list(range(1, 15))


@each
def test_a_lesson_is_read_in_five_minutes(one: Lesson) -> None:
    words = len(re.findall(r"[\w'-]+", every_word(one)))
    assert 250 < words < 5 * WORDS_A_MINUTE


@each
def test_a_child_of_12_can_read_it(one: Lesson) -> None:
    assert grade(every_word(one)) < GRADE_MAX


@each
def test_every_fact_has_a_source_and_a_day(one: Lesson) -> None:
    assert len(one.sources) >= 2
    for source in one.sources:
        assert source.url.startswith("https://")
        assert date(2026, 11, 25) <= source.read_on <= date(2026, 11, 30)


@each
def test_a_lesson_names_a_leak_path_a_thing_to_try_and_its_undoing(one: Lesson) -> None:
    for text in (one.closes, one.try_now, one.undo):
        assert len(text.split()) >= 3
    assert not one.closes.endswith(".")
    assert not one.closes[0].isupper()


@each
def test_its_question_can_be_answered_right_and_wrong(one: Lesson) -> None:
    quiz = one.question
    assert len(set(quiz.choices)) == 3
    right = [n for n in range(1, 4) if is_right_choice(quiz, n)]
    assert right == [quiz.right]
    for answer in (1, 2, 3):
        verdict = verdict_in_words(quiz, answer)
        assert verdict.startswith("Yes." if answer == quiz.right else "Not quite.")
        assert quiz.why in verdict


def test_the_right_choice_is_not_always_at_one_place() -> None:
    assert len({one.question.right for one in all_lessons()}) == 3


@each
def test_the_terminal_shows_everything_within_its_width(one: Lesson) -> None:
    shown = lesson_as_text(one, 60)
    flat = " ".join(shown.split())
    for block in one.blocks:
        assert " ".join(block.text.split()).casefold() in flat.casefold()
    assert all(source.url in shown for source in one.sources)
    own = shown.split("Where this comes from:")[0]
    assert max(map(len, own.splitlines()[1:])) <= 60


@pytest.mark.slow
@each
def test_every_command_that_a_lesson_names_can_be_typed(one: Lesson) -> None:
    spans = [span.text for block in one.blocks for span in block.spans if span.code]
    texts = [text for text in (*spans, *_after_colon(one.try_now)) if text.startswith("entrenous ")]
    assert [why for text in texts if (why := wrong_with(text.split()[1:]))] == []


def _after_colon(text: str) -> list[str]:
    """Return commands that follow a colon, as in "get help: entrenous help --threat"."""
    return re.findall(r": (entrenous [a-z-]+(?: --[a-z-]+)?(?: [A-Z]{2})?)", text)


@pytest.mark.parametrize("name", ["", "none", "../../base/errors", "where-copies-hide.md"])
def test_unknown_lesson_is_not_found(name: str) -> None:
    with pytest.raises(NoSuchLesson):
        find_lesson(name)


def test_a_lesson_is_read_from_front_matter_and_markdown() -> None:
    one = read_lesson("one", GOOD.encode())
    assert (one.title, one.question.choices, one.text) == (
        "a",
        ("g", "h"),
        "## One\n\nWords, and `code`.",
    )


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("order = 1", "order = 1\nmore = 2"),
        ("order = 1", "order = 'one'"),
        ("order = 1\n", ""),
        ("right = 2", "right = 3"),
        ("right = 2", "right = 0"),
        ("read_on = 2026-11-30", "read_on = 'soon'"),
        ("+++\norder", "order"),
        ("## One\n\nWords, and `code`.", ""),
        ("## One", "# One"),
        ("Words", "<b>Words</b>"),
        ("Words", "<script>alert(1)</script>"),
        ("Words", "![a picture](https://example.org/a.png)"),
        ("Words", "[a link](javascript:alert(1))"),
        ("Words", "> quoted"),
        ("Words", "```\ncode\n```"),
        ("Words", "- one\n  - two"),
    ],
)
def test_a_damaged_lesson_is_not_shown(was: str, becomes: str) -> None:
    assert was in GOOD
    with pytest.raises(BadLesson):
        read_lesson("one", GOOD.replace(was, becomes).encode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"+++\n+++\n", b"+++\ntitle =\n+++\nWords"])
def test_data_that_is_no_lesson_is_refused(data: bytes) -> None:
    with pytest.raises(BadLesson):
        read_lesson("one", data)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[("the", 1), ("picture", 2), ("careful", 2), ("table", 2), ("people", 2), ("asked", 1)],
        *[("wanted", 2), ("messages", 3), ("encryption", 3), ("device", 2), ("goes", 1)],
    ],
)
def test_syllables_are_counted(word: str, count: int) -> None:
    assert abs(syllables(word) - count) <= (word == "careful")


def test_the_readability_measure_tells_easy_from_hard() -> None:
    easy = "The cat sat on the mat. It was warm there. The dog came in."
    hard = (
        "Notwithstanding considerable organisational countermeasures, interoperability "
        "deficiencies occasionally necessitate comprehensive reconsideration."
    )
    assert grade(easy) < 2 < GRADE_MAX < 20 < grade(hard)
