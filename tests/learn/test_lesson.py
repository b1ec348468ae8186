"""Lessons: short, each about one leak path, each ending in one setting changed."""

import pytest

from entrenous.learn.lesson import BadLesson, NoSuchLesson, lesson, lesson_names, read_lesson


def test_there_are_lessons() -> None:
    assert lesson_names() == ("when-a-picture-reaches-you", "where-copies-hide")


@pytest.mark.parametrize("name", lesson_names())
def test_each_takes_five_minutes_and_ends_in_one_setting(name: str) -> None:
    one = lesson(name)
    assert one.title
    assert one.closes
    assert 60 < len(one.text.split()) < 600  # 120 words a minute, read slowly
    assert one.text.split("\n\n")[-1].startswith("One setting to change now:")


@pytest.mark.parametrize("name", ["", "none", "../../model/errors", "where-copies-hide.toml"])
def test_unknown_lesson_is_not_found(name: str) -> None:
    with pytest.raises(NoSuchLesson):
        lesson(name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"title = 1",
        b"title = 'a'\ncloses = 'b'\ntext = 'c'\nmore = 'd'",
        b"\xff",
        b"title =",
    ],
)
def test_a_damaged_lesson_is_not_shown(data: bytes) -> None:
    with pytest.raises(BadLesson):
        read_lesson("one", data)
