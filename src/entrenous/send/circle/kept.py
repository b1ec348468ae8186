"""The circles that this device keeps."""

from collections.abc import Iterable
from dataclasses import replace

from entrenous.model.circle import Circle, CircleId
from entrenous.model.ids import PersonId
from entrenous.ports import Vault
from entrenous.send.drawers import CIRCLE, lay, take, take_all


def circles(vault: Vault) -> tuple[Circle, ...]:
    """Every circle, by name."""
    return tuple(sorted(take_all(Circle, CIRCLE, vault), key=lambda circle: circle.name))


def circles_of(ids: Iterable[CircleId], vault: Vault) -> tuple[Circle, ...]:
    """Those of these circles that there still are."""
    found = (take(Circle, CIRCLE, one.hex(), vault) for one in ids)
    return tuple(circle for circle in found if circle is not None)


def keep_circle(circle: Circle, vault: Vault) -> None:
    """Store a new or changed circle."""
    lay(circle, CIRCLE, circle.id.hex(), vault)


def drop_circle(circle: Circle, vault: Vault) -> None:
    """Let go of a circle; its people stay."""
    vault.drop(CIRCLE, circle.id.hex())


def leave_circles(person: PersonId, vault: Vault) -> None:
    """Take somebody out of every circle; one that had nobody else goes with them."""
    for circle in circles(vault):
        people = tuple(one for one in circle.people if one != person)
        if not people:
            drop_circle(circle, vault)
        elif people != circle.people:
            keep_circle(replace(circle, people=people), vault)
