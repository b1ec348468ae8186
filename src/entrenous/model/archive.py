"""Archives: what a person takes to another device, or keeps (docs/spec/archive.md)."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import Malformed, NotFound, Refused, Unproven
from entrenous.model.ids import PersonId


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an archive; ``sha256`` has 32 bytes."""

    name: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Index:
    """What an archive holds, in the order of its parts; ``person`` is None of a device without."""

    made_at: datetime
    person: PersonId | None
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Written:
    """What went into an archive; ``lost`` files were named by a record and are not there, or are
    damaged, ``unopened`` messages stay where they are, and so do ``left_of_cases``, files of cases
    in which somebody was, or may have been, under 18.
    """

    index: Index
    lost: int
    unopened: int
    left_of_cases: int = 0


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What an archive added to a device; ``other_cases`` have the name of one that is here, and
    ``erased_cases`` were erased here after it was said that somebody was under 18.

    ``person`` is who made it, None of a device without a relay; ``made_by`` what this device calls
    her, None if it does not know her.
    """

    made_at: datetime
    person: PersonId | None = None
    made_by: str | None = None
    people: int = 0
    circles: int = 0
    sent: int = 0
    received: int = 0
    traces: int = 0
    cases: int = 0
    protections: int = 0
    other_cases: tuple[str, ...] = ()
    erased_cases: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether all of it was here already."""
        counts = (self.people, self.circles, self.sent, self.received, self.traces)
        return not any((*counts, self.cases, self.protections))


class NoArchiveHere(NotFound):
    """
    {path} holds no whole archive: that is a folder with archive.tar.age and archive.key.age in it,
    and one that was broken off lacks the second. Nothing was changed. Make one on the device that
    has your things: entrenous archive export --out DIR
    """


class WrongArchivePassphrase(Refused):
    """
    That passphrase does not open the key of this archive, and nothing was changed. It is the one
    that was chosen for the archive, which need not be the one of your device. Try again.
    """


class TooMuchForArchive(Refused):
    """
    There is more on this device than an archive of this version can hold, or one thing in it is
    too large. No archive was made, and everything here stays as it is. A newer version of Entrenous
    may hold more.
    """


class BadArchive(Malformed):
    """
    This archive is not of the form that this version reads: it is damaged, or a newer version of
    Entrenous wrote it. Nothing was changed. Update Entrenous and try again, or use another archive.
    """


class DamagedArchive(Unproven):
    """
    In this archive, {name} is not what was put there, so nothing was taken in and nothing was
    changed. Copy the archive anew from where it was made, or use another one.
    """
