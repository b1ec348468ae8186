"""Tests of the English lessons, of the parser of lessons, and of the readability measure."""

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
from tests.house.test_docs import parser_refusal
from tests.learn.readability import flesch_kincaid_grade, syllable_count

LESSON_NAMES = (
    *("weak-encryption", "old-software", "open-networks", "hacked-account", "wrong-recipient"),
    *("lost-device", "somebody-passes-it-on", "being-asked", "being-threatened"),
    *("when-a-picture-reaches-you", "where-copies-hide", "watched-devices"),
    *("helping-a-friend", "the-first-hour"),
)
WORDS_A_MINUTE = 110  # a child of 12 who reads slowly
GRADE_MAX = 6.0  # a Flesch-Kincaid grade; the sixth grade begins at age 11
VALID_LESSON = """+++
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


def full_text(lesson: Lesson) -> str:
    """Return the text of a lesson and of its question, with empty lines between the parts."""
    quiz = lesson.question
    parts = (
        lesson.title,
        *(block.text for block in lesson.blocks),
        lesson.try_now,
        lesson.undo,
        lesson.closes,
    )
    return "\n\n".join((*parts, quiz.ask, *quiz.choices, quiz.why))


each_lesson = pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.name)


def test_fourteen_lessons_are_numbered_in_order() -> None:
    assert tuple(lesson.name for lesson in all_lessons()) == LESSON_NAMES
    assert [lesson.order for lesson in all_lessons()] == list(range(1, 15))


@each_lesson
def test_lesson_has_over_250_words_and_can_be_read_in_five_minutes(lesson: Lesson) -> None:
    words = len(re.findall(r"[\w'-]+", full_text(lesson)))
    assert 250 < words < 5 * WORDS_A_MINUTE


@each_lesson
def test_child_of_12_can_read_each_lesson(lesson: Lesson) -> None:
    assert flesch_kincaid_grade(full_text(lesson)) < GRADE_MAX


@each_lesson
def test_lesson_has_at_least_two_dated_sources(lesson: Lesson) -> None:
    assert len(lesson.sources) >= 2
    for source in lesson.sources:
        assert source.url.startswith("https://")
        assert date(2026, 11, 25) <= source.read_on <= date(2026, 11, 30)


@each_lesson
def test_lesson_has_a_leak_path_an_exercise_and_an_undo(lesson: Lesson) -> None:
    for text in (lesson.closes, lesson.try_now, lesson.undo):
        assert len(text.split()) >= 3
    assert not lesson.closes.endswith(".")
    assert not lesson.closes[0].isupper()


@each_lesson
def test_question_has_one_right_and_two_wrong_answers_and_every_verdict_says_why(
    lesson: Lesson,
) -> None:
    quiz = lesson.question
    assert len(set(quiz.choices)) == 3
    right = [n for n in range(1, 4) if is_right_choice(quiz, n)]
    assert right == [quiz.right]
    for answer in (1, 2, 3):
        verdict = verdict_in_words(quiz, answer)
        assert verdict.startswith("Yes." if answer == quiz.right else "Not quite.")
        assert quiz.why in verdict


def test_right_choices_are_at_all_three_positions() -> None:
    assert len({lesson.question.right for lesson in all_lessons()}) == 3


@each_lesson
def test_terminal_text_is_complete_and_at_most_60_columns_wide(lesson: Lesson) -> None:
    shown = lesson_as_text(lesson, 60)
    flat = " ".join(shown.split())
    for block in lesson.blocks:
        assert " ".join(block.text.split()).casefold() in flat.casefold()
    assert all(source.url in shown for source in lesson.sources)
    own = shown.split("Where this comes from:")[0]  # URLs of sources may be longer
    assert max(map(len, own.splitlines()[1:])) <= 60


@pytest.mark.slow
@each_lesson
def test_every_command_in_a_lesson_is_valid(lesson: Lesson) -> None:
    spans = [span.text for block in lesson.blocks for span in block.spans if span.code]
    texts = [
        text
        for text in (*spans, *_commands_after_colon(lesson.try_now))
        if text.startswith("entrenous ")
    ]
    assert [why for text in texts if (why := parser_refusal(text.split()[1:]))] == []


def _commands_after_colon(text: str) -> list[str]:
    """Return commands that follow a colon, as in "get help: entrenous help --threat"."""
    return re.findall(r": (entrenous [a-z-]+(?: --[a-z-]+)?(?: [A-Z]{2})?)", text)


@pytest.mark.parametrize("lesson_name", ["", "none", "../../base/errors", "where-copies-hide.md"])
def test_unknown_lesson_is_not_found(lesson_name: str) -> None:
    with pytest.raises(NoSuchLesson):
        find_lesson(lesson_name)


def test_a_lesson_is_read_from_front_matter_and_markdown() -> None:
    lesson = read_lesson("one", VALID_LESSON.encode())
    assert (lesson.title, lesson.question.choices, lesson.text) == (
        "a",
        ("g", "h"),
        "## One\n\nWords, and `code`.",
    )


@pytest.mark.parametrize(
    ("old", "new"),
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
def test_invalid_lesson_is_refused(old: str, new: str) -> None:
    assert old in VALID_LESSON
    with pytest.raises(BadLesson):
        read_lesson("one", VALID_LESSON.replace(old, new).encode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"+++\n+++\n", b"+++\ntitle =\n+++\nWords"])
def test_data_that_is_no_lesson_is_refused(data: bytes) -> None:
    with pytest.raises(BadLesson):
        read_lesson("one", data)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[("the", 1), ("picture", 2), ("careful", 3), ("table", 2), ("people", 2), ("asked", 1)],
        *[("wanted", 2), ("messages", 3), ("encryption", 3), ("device", 2), ("goes", 1)],
    ],
)
def test_syllables_are_counted(word: str, count: int) -> None:
    assert syllable_count(word) == count


def test_the_readability_measure_tells_easy_from_hard() -> None:
    easy = "The cat sat on the mat. It was warm there. The dog came in."
    hard = (
        "Notwithstanding considerable organisational countermeasures, interoperability "
        "deficiencies occasionally necessitate comprehensive reconsideration."
    )
    assert flesch_kincaid_grade(easy) < 2 < GRADE_MAX < 20 < flesch_kincaid_grade(hard)
