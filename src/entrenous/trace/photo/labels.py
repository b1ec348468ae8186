"""The sender's own names for copies, each once: those of the ledger, by which a trace is kept, and
what to call each when it is shown.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

from entrenous.model.ids import PersonId, RecipientId
from entrenous.model.label import breaks_a_line
from entrenous.model.message import Copy

T = TypeVar("T")
Call = Callable[[PersonId | None, str], str]
"""What to call a person whose copy was made for this label; None is nobody whom we know by keys."""


def as_made(_: PersonId | None, label: str) -> str:
    """What she was called when her copy was made."""
    return label


def by_label(copies: Iterable[Copy], values: Iterable[T]) -> dict[RecipientId, T]:
    """One value per copy, by the sender's name for it; a person's further devices are numbered."""
    return dict(zip(_labels([copy.to for copy in copies]), values, strict=True))


def called(copies: Sequence[Copy], call: Call) -> Mapping[RecipientId, RecipientId]:
    """What to call each copy now, by its label in the ledger. An older version took any label; what
    would end a line, or act on the screen, is a mark here.
    """
    names = (RecipientId(_seen(call(copy.person, copy.to))) for copy in copies)
    now = [replace(copy, to=name) for copy, name in zip(copies, names, strict=True)]
    return by_label(copies, by_label(now, now))


def pseudonyms(labels: Iterable[str], named: Collection[str]) -> list[str]:
    """The labels with those that are not named replaced by "copy 1", "copy 2" and so on, after
    their places; where a named copy is called so, by a number behind all places.
    """
    known, shown = list(labels), {label.casefold() for label in named}
    further = (one for one in map(_copy, count(len(known) + 1)) if one not in shown)
    own = ((label, _copy(place)) for place, label in enumerate(known, 1))
    return [
        label if label in named else mask if mask not in shown else next(further)
        for label, mask in own
    ]


def _labels(wanted: Sequence[RecipientId]) -> list[RecipientId]:
    """Each once: no device of one person is called as another person is."""
    people, labels = set(wanted), dict[RecipientId, None]()
    for name in wanted:
        label, number = name, 2
        while label in labels or (label != name and label in people):
            label, number = RecipientId(f"{name} (device {number})"), number + 1
        labels[label] = None
    return list(labels)


def _copy(number: int) -> str:
    return f"copy {number}"


def _seen(label: str) -> str:
    return "".join("\ufffd" if breaks_a_line(char) else char for char in label)
