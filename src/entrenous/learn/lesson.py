"""Five-minute lessons, read from learn/lessons/: Markdown below TOML front matter
(docs/spec/learn.md section 3).
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from textwrap import fill
from typing import Final

import msgspec

from entrenous.base.errors import Malformed, NotFound
from entrenous.base.language import language_of_person, translated
from entrenous.learn.markdown import (
    Block,
    UnsupportedMarkdown,
    blocks_as_plain_text,
    parse_markdown_blocks,
)


class NoSuchLesson(NotFound):
    """There is no lesson called {name}. To list the lessons: entrenous learn"""


class BadLesson(Malformed):
    """
    The lesson {name} that came with Entrenous is damaged: {why}. Your own data is not affected.
    Install Entrenous again.
    """


class LessonSource(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a lesson's facts were read, and on which day."""

    title: str
    url: str
    read_on: date


class LessonQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The question at a lesson's end; ``right`` is the number of the right choice, counted from
    1.
    """

    ask: str
    choices: tuple[str, ...]
    right: int
    why: str

    def __post_init__(self) -> None:
        if not 1 <= self.right <= len(self.choices):
            raise ValueError("no choice has that number")


class _FrontMatter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    order: int
    title: str
    closes: str
    try_now: str
    undo: str
    sources: tuple[LessonSource, ...]
    question: LessonQuestion


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson. ``closes`` describes the leak path (a way in which private data can get out) that
    the lesson closes, ``try_now`` is the one thing to try, and ``undo`` says how to undo it.
    ``text`` is Markdown, within the subset in markdown.py.
    """

    name: str
    order: int
    title: str
    closes: str
    try_now: str
    undo: str
    sources: tuple[LessonSource, ...]
    question: LessonQuestion
    text: str

    @property
    def blocks(self) -> tuple[Block, ...]:
        return parse_markdown_blocks(self.text)


_FRONT_MATTER_FENCE: Final = "+++\n"
_LESSON_FILE_SUFFIX: Final = ".md"


def all_lessons() -> tuple[Lesson, ...]:
    """Return all lessons in the person's language, sorted by ``order``."""
    return lessons_in_language(language_of_person())


@cache
def lessons_in_language(language: str) -> tuple[Lesson, ...]:
    """Return all lessons in a language. Lessons without a translation are in English."""
    files = {file.name: file for file in _markdown_files(_lessons_folder())}
    files |= {file.name: file for file in _markdown_files(_lessons_folder() / language)}
    read = [
        read_lesson(name.removesuffix(_LESSON_FILE_SUFFIX), file.read_bytes())
        for name, file in files.items()
    ]
    return tuple(sorted(read, key=lambda one: one.order))


def _markdown_files(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from (file for file in folder.iterdir() if file.name.endswith(_LESSON_FILE_SUFFIX))


def find_lesson(name: str) -> Lesson:
    """Return one lesson by name; raises NoSuchLesson."""
    for one in all_lessons():
        if one.name == name:
            return one
    raise NoSuchLesson(name=name)


def read_lesson(name: str, data: bytes) -> Lesson:
    """Parse a lesson's file; raises BadLesson."""
    try:
        head, text = _split_front_matter(data.decode())
        front = msgspec.convert(tomllib.loads(head), _FrontMatter)
        parse_markdown_blocks(text)
    except UnsupportedMarkdown as why:
        raise BadLesson(name=name, why=f"{why.args[0]} is not allowed in a lesson") from None
    except (ValueError, tomllib.TOMLDecodeError, msgspec.ValidationError):
        raise BadLesson(name=name, why="its front matter cannot be read") from None
    return Lesson(name=name, text=text, **msgspec.structs.asdict(front))


def _split_front_matter(content: str) -> tuple[str, str]:
    """Return front matter and text; raises ValueError."""
    before, head, text = content.split(_FRONT_MATTER_FENCE, 2)
    if before or not text.strip():
        raise ValueError("a lesson begins with its front matter and has a text")
    return head, text.strip()


def is_right_choice(question: LessonQuestion, answer: int) -> bool:
    """Return whether the choice with this number, from 1, is the right one."""
    return answer == question.right


def verdict_in_words(question: LessonQuestion, answer: int) -> str:
    """Say whether an answer is right, and why. If it is wrong, the sentence is kind about that."""
    if is_right_choice(question, answer):
        return translated("Yes. {why}").format(why=question.why)
    right = question.choices[question.right - 1]
    return translated("Not quite. It is: {right}. {why}").format(right=right, why=question.why)


def lesson_as_text(lesson: Lesson, width: int) -> str:
    """Return a lesson without its question as plain text for a terminal of ``width`` columns."""
    after = (
        translated("This closes: {closes}.").format(closes=lesson.closes),
        translated("One thing to try: {try_now}").format(try_now=lesson.try_now),
        translated("To undo it: {undo}").format(undo=lesson.undo),
    )
    sources = [
        translated("- {title}: {url} (read on {read_on})").format(
            title=one.title, url=one.url, read_on=one.read_on
        )
        for one in lesson.sources
    ]
    parts = (
        lesson.title,
        blocks_as_plain_text(lesson.blocks, width),
        *(fill(line, width) for line in after),
        "\n".join([translated("Where this comes from:"), *sources]),
    )
    return "\n\n".join(parts)


def _lessons_folder() -> Traversable:
    return resources.files("entrenous.learn").joinpath("lessons")
