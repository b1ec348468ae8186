"""Legal routes: facts with a source and the day they were read, never advice.

The tables are in respond/facts/; docs/spec/case.md defines their columns.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NewType

from entrenous.base.language import translatable, translated
from entrenous.respond.fact_tables import fact_cautions
from entrenous.respond.situation import Spread

RouteId = NewType("RouteId", str)  # as in facts/laws/, e.g. "us-tida-removal"


class RouteKind(StrEnum):
    """The kind of a route; respond/law/routes.py has the order of preference."""

    COPYRIGHT = "copyright"
    PLATFORM = "platform"
    REGULATOR = "regulator"
    DATA = "data"
    SEARCH = "search"
    BANK = "bank"
    HELPER = "helper"  # an organisation files it for the person
    SENDER = "sender"  # a demand to the person who passed it on
    COURT = "court"
    POLICE = "police"
    ESCALATION = "escalation"  # possible only after an addressee failed to act
    DUTY = "duty"  # the platform's own process; the person files nothing


class DocumentKind(StrEnum):
    """What the person files along a route, and so the kind of document that is drafted."""

    FORM = translatable("form")  # the addressee's own form: fields in its order
    LETTER = translatable("letter")
    POLICE_SHEET = translatable("police sheet")  # a page to take to the police or a prosecutor
    # a page with what an application to a court or tribunal needs
    COURT_SHEET = translatable("court sheet")
    HASH_BANK = translatable("hash bank")  # steps on the bank's own page; nothing is sent from here
    # a complaint to a regulator, with the history of the notice before it
    COMPLAINT = translatable("complaint")
    NONE = translatable("none")  # the person files nothing


class WhetherCovered(StrEnum):
    """Whether a law covers something: a copy in a chat, or a request by a representative."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


class DeadlineStart(StrEnum):
    """The event that starts an addressee's deadline."""

    RECEIPT = "receipt"  # the addressee receives what the person sends
    ELSEWHERE = "elsewhere"  # the act of an authority, or an unknown event
    NONE = "none"  # the law sets no fixed time


@dataclass(frozen=True, slots=True)
class Route:
    """One version of one legal route.

    ``family`` is shared by all versions of a route. ``elements`` are what the law requires in a
    notice. ``deadline_hours`` is None if the law sets no whole number of hours; ``deadline_rule``
    has ISO 8601 durations and words.

    The route applies only if the picture has spread as ``posted`` says, and is on one of
    ``platform_kinds`` (empty: on any kind); ``platform`` is the only platform for which the route
    exists, if any. ``representative`` says whether somebody else may file it. ``sender_known``: the
    person must know who passed the picture on. ``depicted_only``: only the person shown, or their
    representative, may use it. ``maker_only``: only the person who took the picture may.
    ``by_platform``: the route also applies if only the platform is in the jurisdiction. ``form_at``
    names the field of the platform's record that has the address of the form. ``next_routes`` are
    the families to try, best first, if this route did not help. docs/spec/case.md section 4 has
    every column.
    """

    id: RouteId
    family: RouteId
    kind: RouteKind
    jurisdiction: str
    law: str
    provision: str
    scope: str
    intimate_only: bool
    covers_private_sharing: WhetherCovered
    who_may_file: str
    elements: tuple[str, ...]
    addressee: str
    deadline_rule: str
    clock: DeadlineStart
    escalation: str
    source: str
    read_on: date
    verified: bool
    verified_by: str
    deadline_hours: int | None = None
    deadline_from: str = ""
    in_force_from: date | None = None
    in_force_until: date | None = None
    altered_only: bool = False
    for_children: bool = False
    leave_out: tuple[str, ...] = ()
    duty: str = ""
    penalty: str = ""
    caution: str = ""
    second_source: str = ""
    document: DocumentKind = DocumentKind.LETTER
    posted: tuple[Spread, ...] = tuple(Spread)
    representative: WhetherCovered = WhetherCovered.UNCLEAR
    platform_kinds: tuple[str, ...] = ()
    platform: str = ""
    sender_known: bool = False
    depicted_only: bool = True
    maker_only: bool = False
    by_platform: bool = False
    next_routes: tuple[RouteId, ...] = ()
    form_at: str = "report_url"

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("a legal fact needs its source")

    @property
    def law_name(self) -> str:
        """The name of the law without its citation, e.g. "TAKE IT DOWN Act"."""
        return self.law.partition(",")[0]

    def is_in_force(self, on: date) -> bool:
        """Return whether this version is in force on that day. A missing first or last day means no
        limit.
        """
        begun = self.in_force_from is None or self.in_force_from <= on
        return begun and (self.in_force_until is None or on <= self.in_force_until)

    def cautions(self, today: date) -> tuple[str, ...]:
        """Return the cautions to show with this fact, e.g. that nobody has verified it, or that its
        source was last read long ago.
        """
        return fact_cautions(self.read_on, today, verified=self.verified)

    def citation_with_source(self) -> str:
        """Format the source and the day of reading, which are shown with every fact.

        The name of a law is not translated. For a letter that rests on no single law
        (facts/own-letters.toml), ``law`` and ``provision`` are descriptions, which are translated.
        """
        return translated("{law}, {provision}; source {source}, read on {read_on}").format(
            law=translated(self.law),
            provision=translated(self.provision),
            source=self.source,
            read_on=self.read_on,
        )


@dataclass(frozen=True, slots=True)
class RankedRoute:
    """A route that may apply, with the reason for its rank, and notes to read beforehand."""

    route: Route
    why: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRanking:
    """The routes for one case, best first.

    ``first`` is None if no route can be recommended, e.g. because none is verified. In that case a
    help line comes first; it can tell the person which of ``others`` apply. ``why`` is one
    sentence.
    """

    first: RankedRoute | None
    others: tuple[RankedRoute, ...]
    why: str

    @property
    def ranked(self) -> tuple[RankedRoute, ...]:
        return (*((self.first,) if self.first else ()), *self.others)
