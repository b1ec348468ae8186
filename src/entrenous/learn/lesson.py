"""Five-minute lessons, read from learn/lessons/; each ends in one changed setting."""

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from entrenous.base.errors import Malformed, NotFound


class Lesson(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    text: str
    closes: str


class NoSuchLesson(NotFound):
    """There is no lesson called {name}. See which there are: entrenous learn"""


class BadLesson(Malformed):
    """The lesson {name} that came with Entrenous is damaged. Install Entrenous again."""


def lesson_names() -> tuple[str, ...]:
    files = (file.name for file in _lessons_folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def lesson(name: str) -> Lesson:
    """Return one lesson by name; raises NoSuchLesson."""
    if name not in lesson_names():
        raise NoSuchLesson(name=name)
    return read_lesson(name, _lessons_folder().joinpath(f"{name}.toml").read_bytes())


def read_lesson(name: str, data: bytes) -> Lesson:
    """Parse a lesson's TOML; raises BadLesson."""
    try:
        read = msgspec.convert(tomllib.loads(data.decode()), Lesson)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise BadLesson(name=name) from None
    return msgspec.structs.replace(read, text=read.text.strip())


def _lessons_folder() -> Traversable:
    return resources.files("entrenous.learn").joinpath("lessons")
