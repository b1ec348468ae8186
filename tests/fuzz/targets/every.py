"""All fuzz targets by name, and the module of each."""

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

_TARGET_MODULES: Final = (
    *(wire, web, identity, letter, relay, documents),
    *(gate, exchange, hooks, archive, media, crypto, registries, pages),
)
TARGETS: Final[Mapping[str, Target]] = {
    target.name: target for module in _TARGET_MODULES for target in module.TARGETS
}
PLANTED: Final = planted.TARGETS[0]


def find_target(name: str) -> Target:
    """Return the target with that name, which may be ``PLANTED``; raise KeyError if none has it."""
    return PLANTED if name == PLANTED.name else TARGETS[name]


def module_name_of(name: str) -> str:
    """Return the name of the module that defines the target."""
    return next(
        module.__name__
        for module in (*_TARGET_MODULES, planted)
        if name in {target.name for target in module.TARGETS}
    )
