"""Five-minute lessons, read from learn/lessons/; each ends in one changed setting."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from entrenous.base.errors import Malformed, NotFound


@dataclass(frozen=True, slots=True)
class Lesson:
    title: str
    text: str
    closes: str


class NoSuchLesson(NotFound):
    """There is no lesson called {name}. See which there are: entrenous learn"""


class BadLesson(Malformed):
    """The lesson {name} that came with Entrenous is damaged. Install Entrenous again."""


class _Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    closes: str
    text: str


def lesson_names() -> tuple[str, ...]:
    """Return the names of this release's lessons, sorted."""
    return tuple(sorted(_name(file) for file in _shelf().iterdir() if file.name.endswith(".toml")))


def lesson(name: str) -> Lesson:
    """Return one lesson by name; raises NoSuchLesson."""
    if name not in lesson_names():
        raise NoSuchLesson(name=name)
    return read_lesson(name, _shelf().joinpath(f"{name}.toml").read_bytes())


def read_lesson(name: str, data: bytes) -> Lesson:
    """Parse a lesson's TOML; raises BadLesson."""
    try:
        row = msgspec.convert(tomllib.loads(data.decode()), _Row)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise BadLesson(name=name) from None
    return Lesson(row.title, row.text.strip(), row.closes)


def _shelf() -> Traversable:
    return resources.files("entrenous.learn").joinpath("lessons")


def _name(file: Traversable) -> str:
    return file.name.removesuffix(".toml")
