"""All targets by their names, and the modules that they are in."""

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
    """The target of that name, the planted one too; raises KeyError."""
    return PLANTED if name == PLANTED.name else TARGETS[name]


def module_of(name: str) -> str:
    """The module that has it; a process for one target imports no other."""
    return next(
        room.__name__
        for room in (*_ROOMS, planted)
        if name in {target.name for target in room.TARGETS}
    )
