"""The photographs and attacks of a quick run and of a full one."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench.attacks import CORE, HARD, OTHER, RUIN
from bench.photographs import BY_SIZE, PHOTOGRAPHS, Size

_QUICK_ATTACKS: Final = (
    "q50",
    "q20",
    "to320+q70",
    "crop30+q70",
    "mirror+q70",
    "rot10+q70",
    "caption+q70",
    "screenshot-dark+q70",
    "social-3",
    "screen-photo",
)
_QUICK_PHOTOS: Final = ("coffee", "flower")
_SETS: Final = MappingProxyType(
    {"core": tuple(CORE), "hard": tuple(HARD), "other": tuple(OTHER), "ruin": tuple(RUIN)}
)
_MERGED_PHOTOS: Final = {
    Size.S: ("coffee", "flower", "dunes"),
    Size.M: ("otters", "dunes", "osprey"),
    Size.L: (),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The photographs with their sizes, the attacks, and the photographs for the peers."""

    photos: tuple[tuple[str, Size], ...]
    attacks: tuple[str, ...]
    peers: tuple[tuple[str, Size], ...]
    seed: int = 1


def quick(seed: int) -> Plan:
    """Return a plan of two photographs from packages and ten attacks: less than a minute."""
    photos = tuple((name, Size.S) for name in _QUICK_PHOTOS)
    return Plan(photos, _QUICK_ATTACKS, photos, seed)


def full(seed: int) -> Plan:
    """Return a plan of every photograph at sizes S, M and L, and every attack but the faint ones.

    Peers get the photographs of 0.27 megapixels; larger ones would take them too long.
    """
    photos = tuple((name, size) for size in (Size.S, Size.M, Size.L) for name in BY_SIZE[size])
    small = tuple((name, size) for name, size in photos if size is Size.S)
    return Plan(photos, (*CORE, *HARD, *OTHER, *RUIN), small, seed)


def narrowed(plan: Plan, photos: Sequence[str], sizes: Sequence[str], only: Sequence[str]) -> Plan:
    """Return a plan with only some photographs, sizes or attacks; an empty choice keeps all.

    Args:
        plan: the plan to narrow.
        photos: names of photographs; they need not be in the plan.
        sizes: XS, S, M, L.
        only: attacks, or sets of them: core, hard, other, ruin.

    Raises:
        KeyError: there is no photograph of this name, or no attack of this name in these sets.
    """
    for name in photos:
        PHOTOGRAPHS[name]
    named = tuple(name for one in only for name in _SETS.get(one, (one,)))
    if unknown := set(named) - {name for some in _SETS.values() for name in some}:
        raise KeyError(", ".join(sorted(unknown)))
    asked = [Size(size) for size in sizes] or sorted(
        {size for _, size in plan.photos}, key=list(Size).index
    )
    chosen = (
        tuple((name, size) for size in asked for name in photos)
        if photos
        else tuple(pair for pair in plan.photos if pair[1] in asked)
    )
    peers = tuple(pair for pair in chosen if pair[1] is Size.S)
    attacks = named or plan.attacks
    return Plan(chosen, attacks, peers, plan.seed)


def merging(plan: Plan) -> tuple[tuple[str, Size], ...]:
    """Return the photographs whose copies are merged.

    They are those of a fixed choice whose name and size both occur in the plan.
    """
    sizes = {size for _, size in plan.photos}
    asked = {name for name, _ in plan.photos}
    usual = tuple((name, size) for size in _MERGED_PHOTOS for name in _MERGED_PHOTOS[size])
    return tuple(pair for pair in usual if pair[1] in sizes and pair[0] in asked)
