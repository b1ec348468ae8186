"""All targets by name, and the module of each."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    archive,
    crypto,
    documents,
    exchange,
    gate,
    hooks,
    identity,
    letter,
    media,
    pages,
    planted,
    registries,
    relay,
    web,
    wire,
)

_ROOMS: Final = (
    *(wire, web, identity, letter, relay, documents),
    *(gate, exchange, hooks, archive, media, crypto, registries, pages),
)
TARGETS: Final[Mapping[str, Target]] = {
    target.name: target for room in _ROOMS for target in room.TARGETS
}
PLANTED: Final = planted.TARGETS[0]


def target_of(name: str) -> Target:
    """Return the target of that name, which may be the planted one; raise KeyError without one."""
    return PLANTED if name == PLANTED.name else TARGETS[name]


def module_of(name: str) -> str:
    """Return the module of that target, the only one that a process for it imports."""
    return next(
        room.__name__
        for room in (*_ROOMS, planted)
        if name in {target.name for target in room.TARGETS}
    )
