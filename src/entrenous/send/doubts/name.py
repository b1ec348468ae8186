"""Reason: a name that is one slip of the fingers away from another one."""

from collections.abc import Iterator
from typing import Final

from entrenous.model.person import Contact
from entrenous.send.acquaintance.people import as_seen
from entrenous.send.doubts.scene import Scene

_WAY_OUT: Final = "to tell them apart: entrenous person rename"


def easily_taken(contact: Contact, scene: Scene) -> Iterator[str]:
    """Whom we call nearly so could be meant, unless this belongs to a conversation with them.

    How often one writes to somebody proves nothing: a slip takes the very name that is usual.
    """
    within = scene.draft.within
    if within is not None and contact.person.id in within.people:
        return
    for other in scene.known:
        if other.person.id != contact.person.id and resembles(contact.name, other.name):
            yield f"{contact.name} is easily taken for {other.name} ({_WAY_OUT})"


def resembles(one: str, other: str) -> bool:
    """Whether two names are one slip apart: a letter more, less, other, or two swapped.

    Optimal string alignment distance (Damerau 1964), without regard to what nobody sees.
    """
    a, b = as_seen(one), as_seen(other)
    return abs(len(a) - len(b)) <= 1 and _alignment(a, b) <= 1


def _alignment(a: str, b: str) -> int:
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            best = min(row[j - 1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
