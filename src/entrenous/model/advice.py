"""What the check-up says, and what there is to learn."""

from dataclasses import dataclass
from enum import StrEnum

from entrenous.model.errors import Malformed, NotFound


class Path(StrEnum):
    """A leak path: open, closed, or not something this machine can see."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding of the check-up: which leak path, whether it is open, and the one next action.

    ``closes`` names the leak path in words, e.g. "somebody reads the vault's files".
    """

    check: str
    path: Path
    closes: str
    found: str
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What this program can see of the machine; None is "cannot see", never "fine".

    ``home`` is the device's folder. ``open_to_others`` are names inside it ("." is the folder
    itself) that another account of this machine may read or write. ``disk_encrypted`` is about the
    disk that it is on.
    """

    system: str
    home: str
    open_to_others: tuple[str, ...] | None = None
    disk_encrypted: bool | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """Five minutes; ends in one setting changed."""

    title: str
    text: str
    closes: str


class NoSuchLesson(NotFound):
    """There is no lesson called {name}. See which there are: entrenous learn"""


class BadLesson(Malformed):
    """The lesson {name} that came with Entrenous is damaged. Install Entrenous again."""
