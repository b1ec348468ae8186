"""How each legal system counts a time limit, as recorded in facts/counting.toml."""

from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final, Literal

import msgspec

from entrenous.respond.fact_tables import BadTable, read_table, shipped_table
from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.law.working_days import DayOff

DEFAULT_RULE_ID: Final = "none"  # the rule for laws whose way of counting is not recorded


class HoursRule(StrEnum):
    """How a time limit in hours is counted."""

    ELAPSED = "elapsed"  # hour after hour, without a break
    FULL = "full-hours"  # from the start of the next full hour after the event
    WORKING = "working"  # only in hours of working days
    NOT_COUNTED = "not-counted"


class MonthEnd(StrEnum):
    """The day with which a period in months ends."""

    SAME_DAY = "same-day"  # the same day of the month as the event
    #: The period starts on the day after the event. After an event on 14 May, a month runs from
    #: 15 May to 14 June.
    DAY_BEFORE = "day-before"


class CountingRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How one legal system counts time limits; docs/spec/case.md section 5 defines every field."""

    law: str
    jurisdictions: tuple[str, ...]
    off: frozenset[DayOff]
    source: str
    verified: bool
    verified_by: str
    kinds: frozenset[RouteKind] = frozenset()
    hours: HoursRule = HoursRule.ELAPSED
    days: Literal["calendar", "working"] = "calendar"
    month_end: MonthEnd = MonthEnd.SAME_DAY
    missing_day: Literal["last", "next"] = "last"
    short_days: int = 0
    least_working_days: int = 0
    asked: Literal["runs", "pauses"] = "runs"
    cite_hours: str = ""
    cite_day: str = ""
    cite_working: str = ""
    cite_short: str = ""
    cite_months: str = ""
    cite_end: str = ""
    cite_roll: str = ""
    cite_least: str = ""
    cite_asked: str = ""
    silent: str = ""
    silent_hours: str = ""
    receipt: str = ""
    receipt_source: str = ""
    read_on: date | None = None

    def citation_of(self, provision: str) -> str:
        """Return a citation, e.g. " (Civil Code of Japan, art. 140)"; "" if ``provision`` is
        empty.
        """
        return f" ({self.law}, {provision})" if provision else ""


class _CountingTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    order: dict[str, CountingRule]


@cache
def counting_rules() -> dict[str, CountingRule]:
    """Return every counting rule by its id, in the table's order."""
    return read_counting_rules(shipped_table("counting.toml"))


def read_counting_rules(data: bytes) -> dict[str, CountingRule]:
    """Parse a table of counting rules; raises BadTable."""
    table = read_table(_CountingTable, data, "counting.toml")
    if DEFAULT_RULE_ID not in table.order:  # the rule for every law without a rule of its own
        raise BadTable(table="counting.toml", entry=DEFAULT_RULE_ID)
    return {
        id_: msgspec.structs.replace(rule, read_on=rule.read_on or table.read_on)
        for id_, rule in table.order.items()
    }


def counting_rule_for(route: Route) -> CountingRule:
    """Return the rule for a route's time limits: that of its jurisdiction, else that of the
    jurisdiction's country, else the default rule.
    """
    return _rule_for(route.jurisdiction, route.kind)


@cache
def _rule_for(jurisdiction: str, kind: RouteKind) -> CountingRule:
    rules = counting_rules()
    for named in dict.fromkeys((jurisdiction, jurisdiction.partition("-")[0])):
        for rule in rules.values():
            if named in rule.jurisdictions and (not rule.kinds or kind in rule.kinds):
                return rule
    return rules[DEFAULT_RULE_ID]
