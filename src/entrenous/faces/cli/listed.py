"""Which messages ``inbox`` and ``sent`` list: of whom, and how many.

Somebody may have thousands: people are shown what waits and the newest, scripts all of them, unless
they ask for something else.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import typer

from entrenous.faces.cli.output import say
from entrenous.model.ids import PersonId
from entrenous.ports import Device
from entrenous.send.acquaintance.people import as_seen, contact_named
from entrenous.send.circle.members import people_meant

One = TypeVar("One")

NEWEST: Final = 20

Last = Annotated[
    int | None, typer.Option("--last", min=1, metavar="N", help="List the newest N, and no more.")
]
All = Annotated[
    bool, typer.Option("--all", help=f"List all, and not what waits and the newest {NEWEST}.")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a list is asked for: people whom we know, and others as the list names them."""

    people: frozenset[PersonId]
    names: frozenset[str]

    def has(self, person: PersonId | None, name: str) -> bool:
        """Whether somebody who is listed by this name is one of them."""
        return person in self.people or as_seen(name) in self.names


def wanted(names: Sequence[str], listed: Iterable[str], device: Device) -> Wanted:
    """Whom these names mean: people, circles, or who is ``listed`` so and not known any more.

    Raises:
        UnknownPerson: one of them is nobody's.
    """
    there, people = {as_seen(name) for name in listed}, set[PersonId]()
    for name in names:
        found = people_meant(name, device)
        if not found and as_seen(name) not in there:
            contact_named(name, device)
        people |= found
    return Wanted(frozenset(people), frozenset(map(as_seen, names)))


@dataclass(frozen=True, slots=True)
class Listed(Generic[One]):
    """What is listed, oldest first, and how many more there are."""

    these: tuple[One, ...]
    older: int

    def tell_older(self, command: str, option: str, names: Sequence[str]) -> None:
        """Say how the rest is listed."""
        if self.older:
            asked = "".join(f"{option} {shlex.quote(name)} " for name in names)
            say(f"{self.older:,} older: entrenous {command} {asked}--all")


def refuse_both(last: int | None, *, everything: bool) -> None:
    """Raise BadParameter where a list is to be short and whole."""
    if last is not None and everything:
        raise typer.BadParameter("give --last N or --all")


def listed(
    every: Sequence[One], waits: Callable[[One], bool], last: int | None, *, everything: bool
) -> Listed[One]:
    """Of messages, oldest first: all, the ``last`` ones, or what waits and the newest."""
    if everything:
        return Listed(tuple(every), 0)
    start = max(0, len(every) - (last or NEWEST))
    before = () if last else tuple(filter(waits, every[:start]))
    return Listed((*before, *every[start:]), start - len(before))
