"""A person's file about one leak: what was seen, what is kept, what was asked, which clock runs.

Nothing in here says who is to blame: a case may hold a verdict about a *copy*, and a sighting of a
*place*. docs/spec/case.md has the words and the byte formats.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from entrenous.model.errors import NotFound, Refused
from entrenous.model.evidence import Evidence, Stamp
from entrenous.model.ids import CaseName
from entrenous.model.route import Place, Route
from entrenous.model.verdict import Trace


class AgeAnswer(StrEnum):
    """The age gate: was everybody in the picture 18 or older when it was taken?"""

    ADULTS = "adults"
    CHILD = "child"
    UNSURE = "unsure"


class TakenBy(StrEnum):
    """Who pressed the shutter; it decides whether the copyright is hers."""

    ME = "me"
    SOMEBODY_ELSE = "somebody else"
    UNSAID = "unsaid"


class Reach(StrEnum):
    """Whether a sighting was where anybody could look, or inside a chat."""

    PUBLIC = "public"
    PRIVATE = "private"


class CaseState(StrEnum):
    """Long-lived state of a case; the table is in respond/progress.py."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Situation:
    """The few facts that the choice of a route turns on. Every question may be left unanswered.

    ``places`` are where the person lives and where the platform is. ``intimate`` and
    ``altered`` (a forgery, or changed by software) are None when unsaid. ``name_must_stay_hidden``
    is a safety flag: the uploader must not learn her name.
    """

    places: tuple[Place, ...]
    intimate: bool | None = None
    altered: bool | None = None
    taken_by: TakenBy = TakenBy.UNSAID
    name_must_stay_hidden: bool = False
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where and when a copy was seen: a web address, or a chat described in words.

    ``handle`` is the account it was shown at. ``number`` counts from 1 once a case holds it.
    """

    where: str
    reach: Reach
    first_seen_at: datetime
    handle: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise ValueError("a sighting needs a place")


class NoticeState(StrEnum):
    """Long-lived state of a notice; the table is in respond/progress.py."""

    DRAFTED = "drafted"
    SENT = "sent"
    RECEIVED = "received"
    ASKED = "asked for more"
    REMOVED = "removed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class NoticeEvent(StrEnum):
    """What can happen to a notice."""

    SEND = "send"
    RECEIPT = "receipt"
    ASK = "ask for more"
    SUPPLY = "supply more"
    REMOVAL = "removal"
    REFUSAL = "refusal"
    WITHDRAW = "withdraw"


class CaseEvent(StrEnum):
    """What can happen to a case."""

    CLOSE = "close"
    REOPEN = "open again"


@dataclass(frozen=True, slots=True)
class Element:
    """One thing that the law wants in a notice; ``gaps`` are what is still missing, in brackets."""

    required: str
    text: str
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A letter to whoever must act: legal ground, what is asked, by when. Never the picture.

    ``route`` is the law as it stood when this was drafted. ``letter`` is what would be sent, and
    ``told`` are the sightings that stand in it. ``asked_at`` is when they first asked for more,
    ``answered_at`` when they first answered, be it by removing it.
    """

    number: int
    route: Route
    drafted_at: datetime
    elements: tuple[Element, ...]
    letter: str
    state: NoticeState = NoticeState.DRAFTED
    sent_at: datetime | None = None
    received_at: datetime | None = None
    answered_at: datetime | None = None
    asked_at: datetime | None = None
    removed_at: datetime | None = None
    told: tuple[Sighting, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Everything that still has to be filled in by hand."""
        return tuple(gap for element in self.elements for gap in element.gaps)


class DeadlineState(StrEnum):
    """Where a clock is."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    MET = "met"
    MISSED = "missed"
    NO_FIXED_TIME = "no fixed time"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A clock that belongs to an addressee, never to the person; times are aware UTC."""

    notice: int
    law: str
    provision: str
    rule: str
    starts: str
    state: DeadlineState
    source: str
    read_on: date
    started_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done in a case, in the words shown on its ladder."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """A person's file. ``links`` counts the custody chain, so that a lost link is noticed.

    ``age`` is the answer at the age gate, as far as is known now: a case of anything but adults is
    closed for good.
    """

    name: CaseName
    opened_at: datetime
    situation: Situation
    state: CaseState = CaseState.OPEN
    trace: Trace | None = None
    sightings: tuple[Sighting, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    notices: tuple[Notice, ...] = ()
    steps: tuple[Step, ...] = ()
    links: int = 0
    age: AgeAnswer = AgeAnswer.ADULTS


class NoSuchCase(NotFound):
    """There is no case called {name} on this device. See which there are: entrenous case list"""


class NothingThere(NotFound):
    """Case {name} has no {what} number {number}. See what it has: entrenous case show {name}"""


class ChatNotReached(Refused):
    """
    Sighting {number} of case {name} is in a chat, and this route reaches no chat, so nothing was
    drafted. Leave that number out, or see which routes may reach it: entrenous law routes {name}
    """


class ForYoungPeople(Refused):
    """
    Thank you for saying so. Because somebody in the picture was, or may have been, under 18 when it
    was taken, nothing was captured or stored here: there are people whose work this is, who help
    free of charge and do not judge. {help}
    """


class NotAllAdults(Refused):
    """
    Case {name} takes in nothing more, because somebody in the picture was, or may have been, under
    18 when it was taken. It is good that you said so: there are people whose work this is, who help
    free of charge and do not judge. {help}

    What was kept before is still on this device; those who help need to know where it was seen, not
    the picture. You can erase all of it from this device, for good: entrenous case erase {name}
    """


class CaseClosed(Refused):
    """
    Case {name} is closed, so nothing was added to it. Open it again first:
    entrenous case open {name}
    """


class NotNow(Refused):
    """
    This {what} is {state}, so "{event}" does not fit it, and nothing was changed. See where it
    stands: entrenous case show {name}
    """


class TimesDoNotFit(Refused):
    """
    That time does not fit: {what} cannot be {when}. Nothing was changed. Check the day and the
    hour, and give it again.
    """
