"""Ladders: ordered steps for a case in which there is no page to take down, because the picture is
in a chat, or somebody only threatens.

The steps are facts in respond/facts/chat-ladder.toml and threat-ladder.toml; docs/spec/routes.md
section 3 explains their columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final, Literal

import msgspec
from msgspec.structs import asdict

from entrenous.respond.fact_tables import BadTable, fact_cautions, read_table, shipped_table
from entrenous.respond.law.legal_route import RouteKind
from entrenous.respond.law.places import Place

CHAT_LADDER: Final = "chat"
THREAT_LADDER: Final = "threat"


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One step. ``what`` is the fact; if ``says`` is set, people read that instead. ``words`` are a
    message that the person may send. ``kinds`` are the kinds of route that a plan lists after the
    step; ``platform`` and ``help`` say whether the plan lists the report to the platform and help
    lines beside the step. ``if_demanded``: the step also applies outside its ladder if something is
    demanded. ``only_with_routes``: the step is left out if no route of its kinds applies.
    ``sender_known``: the step is left out if it is not known who passed the picture on.
    """

    id: str
    name: str
    what: str
    says: str
    words: str
    to: str
    who: str
    sources: tuple[str, ...]
    read_on: date
    verified: bool
    verified_by: str
    kinds: tuple[RouteKind, ...]
    platform: bool
    help: bool
    if_demanded: bool
    only_with_routes: bool
    sender_known: bool
    do_not: tuple[str, ...]
    why_first: str
    caution: str
    app_facts: tuple[str, ...]
    law_behind: tuple[str, ...]
    forwarder: str
    elements: tuple[str, ...]
    routes: tuple[str, ...]

    def cautions(self, today: date) -> tuple[str, ...]:
        """Return the cautions to show with this step, e.g. that it is unverified or was read long
        ago.
        """
        return fact_cautions(self.read_on, today, verified=self.verified)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Ordered steps; ``police`` says for each country who takes the report."""

    name: str
    title: str
    principle: str
    stop_if_minor: str
    stop_if_threat: str
    steps: tuple[LadderStep, ...]
    police: Mapping[Place, str]


class _StepRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    what: str
    to: str
    says: str = ""
    words: str = ""
    who: str = ""
    sources: tuple[str, ...] = ()
    verified: bool = False
    verified_by: str = ""
    kinds: tuple[RouteKind, ...] = ()
    platform: bool = False
    help: bool = False
    if_demanded: bool = False
    only_with_routes: bool = False
    sender_known: bool = False
    do_not: tuple[str, ...] = ()
    why_first: str = ""
    caution: str = ""
    app_facts: tuple[str, ...] = ()
    law_behind: tuple[str, ...] = ()
    forwarder: str = ""
    elements: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


class _LadderHead(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a ladder has besides its steps."""

    title: str
    principle: str
    stop_if_minor: str
    stop_if_threat: str
    order: tuple[str, ...]


class _LadderTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    ladder: _LadderHead
    step: dict[str, _StepRow]
    police: dict[str, str] = {}


@cache
def shipped_ladder(name: str) -> Ladder:
    """Return this release's ladder with that name: ``CHAT_LADDER`` or ``THREAT_LADDER``."""
    return read_ladder(name, shipped_table(f"{name}-ladder.toml"))


def read_ladder(name: str, data: bytes) -> Ladder:
    """Parse a ladder.

    Raises BadTable if the TOML or a column is invalid, if ``order`` does not name each step exactly
    once, or if a step has no ``sources`` or no ``verified_by``.
    """
    file = f"{name}-ladder.toml"
    table = read_table(_LadderTable, data, file)
    if sorted(table.ladder.order) != sorted(table.step):
        raise BadTable(table=file, entry="order")
    without_source = [
        id_ for id_, row in table.step.items() if not (row.sources and row.verified_by)
    ]
    if without_source:
        raise BadTable(table=file, entry=f"{without_source[0]} has no source")
    steps = tuple(
        LadderStep(id=f"ladder-{name}-{id_}", read_on=table.read_on, **asdict(table.step[id_]))
        for id_ in table.ladder.order
    )
    head = table.ladder
    police = {Place(place): words for place, words in table.police.items()}
    return Ladder(
        name, head.title, head.principle, head.stop_if_minor, head.stop_if_threat, steps, police
    )
