"""The contents of a case file: sightings, evidence, stamps, notices and steps.

A case never says who is to blame. It may contain a verdict about a copy, and the places where the
picture was seen. docs/spec/case.md defines terms and formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import BlobId, CaseName
from entrenous.base.language import translatable, translated
from entrenous.base.secret import Secret
from entrenous.respond.law.legal_route import Route
from entrenous.respond.situation import Situation
from entrenous.watermark.verdict import Trace

EVIDENCE_SALT_BYTES: Final = 32
SHA256_BYTES: Final = 32


class EvidenceLevel(StrEnum):
    """How much an item of evidence proves; EVIDENCE_LEVEL_MEANINGS says what each level means."""

    A0 = "A0"
    A1 = "A1"
    A2 = "A2"
    A3 = "A3"
    A4 = "A4"

    @property
    def proves(self) -> str:
        """What an item of this level proves, in words."""
        return translated(EVIDENCE_LEVEL_MEANINGS[self])


EVIDENCE_LEVEL_MEANINGS: Final[Mapping[EvidenceLevel, str]] = {
    EvidenceLevel.A0: translatable("a statement: the person says so"),
    EvidenceLevel.A1: translatable(
        "the person's own screenshot or file: unchanged since it was hashed"
    ),
    EvidenceLevel.A2: translatable(
        "captured by this program: these bytes existed by then on this machine"
    ),
    EvidenceLevel.A3: translatable(
        "captured a second time by somebody else: the same content seen twice"
    ),
    EvidenceLevel.A4: translatable("the platform's own receipt or answer: the addressee admits it"),
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """An RFC 3161 timestamp over ``manifest``, verified against ``authorities`` (PEM).

    ``token`` is the authority's whole response in DER; ``at`` is the time in that response.
    """

    manifest: bytes
    token: bytes
    at: datetime
    authority_url: str
    authorities: bytes


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One stored item. ``sha256`` is the SHA-256 of the item's bytes, without a salt. Manifests
    contain only the SHA-256 over ``salt`` and these bytes.
    """

    number: int
    level: EvidenceLevel
    what: str
    added_at: datetime
    sha256: bytes
    size_bytes: int
    salt: Secret
    blob: BlobId
    sighting: int | None = None

    def __post_init__(self) -> None:
        if len(self.sha256) != SHA256_BYTES or len(self.salt) != EVIDENCE_SALT_BYTES:
            raise ValueError("a hash and a salt have 32 bytes each")


class AgeAnswer(StrEnum):
    """The answer at the age gate: was everybody in the picture 18 or older when it was taken?"""

    ADULTS = "adults"
    CHILD = "child"
    UNSURE = "unsure"


class SightingReach(StrEnum):
    """Whether a copy was seen in public or in a chat."""

    PUBLIC = "public"
    PRIVATE = "private"


class CaseState(StrEnum):
    """The state of a case; case_status.py has the transitions."""

    OPEN = translatable("open")
    CLOSED = translatable("closed")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where and when a copy was seen: a web address, or a chat described in words.

    ``handle`` is the account that posted the copy. ``number`` counts from 1 within a case.
    """

    where: str
    reach: SightingReach
    first_seen_at: datetime
    handle: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise ValueError("a sighting needs a place")


class NoticeState(StrEnum):
    """The state of a notice; case_status.py has the transitions."""

    DRAFTED = translatable("drafted")
    SENT = translatable("sent")
    RECEIVED = translatable("received")
    ASKED = translatable("asked for more")
    PARTLY = translatable("partly removed")
    REMOVED = translatable("removed")
    REFUSED = translatable("refused")
    WITHDRAWN = translatable("withdrawn")


# a notice in one of these states needs no further step
SETTLED_NOTICE_STATES: Final = frozenset({NoticeState.REMOVED, NoticeState.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class NoticeElement:
    """One element that the law requires in a notice. ``gaps`` are the placeholders, in square
    brackets, for what is still missing in ``text``.
    """

    required: str
    text: str
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A heading and the lines below it; a line that begins with ``- `` is an item of a list."""

    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A letter, form or page for whoever must act, with the legal ground, the request and the
    deadline. It never contains the picture.

    ``route`` is the legal route as it was when the notice was drafted. ``letter`` is the text to
    send, ``parts`` is the same text by headings, and ``named_sightings`` are the sightings named in
    it. ``other_gaps`` are placeholders for what the law does not require, e.g. the name of the
    person who goes to the police. ``to`` names the addressee. ``reference`` is the number that the
    addressee gave, e.g. a hash bank's case number. ``asked_at`` is when the addressee first asked
    for more information, ``supplied_at`` when the person first supplied it. ``answered_at`` is the
    time of the first answer that was recorded: ``partly_at``, ``removed_at`` or ``refused_at``.
    """

    number: int
    route: Route
    drafted_at: datetime
    elements: tuple[NoticeElement, ...]
    letter: str
    state: NoticeState = NoticeState.DRAFTED
    sent_at: datetime | None = None
    received_at: datetime | None = None
    answered_at: datetime | None = None
    asked_at: datetime | None = None
    removed_at: datetime | None = None
    named_sightings: tuple[Sighting, ...] = ()
    supplied_at: datetime | None = None
    partly_at: datetime | None = None
    refused_at: datetime | None = None
    to: str = ""
    language: str = "en"
    parts: tuple[DocumentPart, ...] = ()
    reference: str = ""
    other_gaps: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """All gaps that have to be filled in by hand."""
        return (*(gap for element in self.elements for gap in element.gaps), *self.other_gaps)


class RepresentativeRole(StrEnum):
    """Who acts for the person shown in the picture."""

    PARENT = translatable("parent")  # a parent of a person who is an adult now
    PARTNER = translatable("partner")
    RELATIVE = translatable("relative")
    FRIEND = translatable("friend")
    TEACHER = translatable("teacher")
    COLLEAGUE = translatable("colleague")
    HELPER = translatable("helper")  # somebody from a help line or another organisation
    LAWYER = translatable("lawyer")
    OTHER = translatable("other")


@dataclass(frozen=True, slots=True)
class Representative:
    """Somebody who acts for the person shown, with consent that was asked for, never assumed.

    ``consent`` says in the representative's own words who agreed, how, and to what. ``noted_at`` is
    when it was recorded here (aware, UTC).
    """

    role: RepresentativeRole
    consent: str
    noted_at: datetime

    def __post_init__(self) -> None:
        if not self.consent.strip():
            raise ValueError("nobody acts for somebody else without consent")


@dataclass(frozen=True, slots=True)
class Reappearance:
    """The picture was found again at an address from which it had disappeared or been removed.

    ``compared`` is false if there was no picture to compare, and only the page is back.
    """

    sighting: int
    at: datetime
    compared: bool


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of an organisation's own systems, which it has to report to an authority.

    ``route`` is the law in force at ``aware_at``, when the organisation became aware of the breach.
    ``notified_at`` is when it notified the authority, and ``people_notified_at`` when it notified
    the people concerned.
    """

    route: Route
    aware_at: datetime
    notified_at: datetime | None = None
    people_notified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseStep:
    """One step taken in a case. ``what`` is the text that is shown."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """The file of one person's case. ``links`` is the number of links in the custody chain, so that
    a lost link is noticed.

    ``age`` is the answer at the age gate; a case with any answer but ADULTS is closed for good.
    While the case waits for a stamp, ``stamp_wanted_at`` is the time of the first request for a
    stamp that failed.
    """

    name: CaseName
    opened_at: datetime
    situation: Situation
    state: CaseState = CaseState.OPEN
    trace: Trace | None = None
    sightings: tuple[Sighting, ...] = ()
    evidence: tuple[EvidenceItem, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    notices: tuple[Notice, ...] = ()
    steps: tuple[CaseStep, ...] = ()
    links: int = 0
    age: AgeAnswer = AgeAnswer.ADULTS
    representative: Representative | None = None  # None if the person shown acts personally
    stamp_wanted_at: datetime | None = None
    returned: tuple[Reappearance, ...] = ()
    breach: Breach | None = None


class NoSuchCase(NotFound):
    """
    There is no case called {name} on this device. Nothing was changed or erased. To list the cases:
    entrenous case list
    """


class NoSuchCaseEntry(NotFound):
    """
    Case {name} has no {what} number {number}. Nothing was changed. To see what the case contains:
    entrenous case show {name}
    """


class ImpossibleTime(Refused):
    """
    The time that you gave for "{what}" is not possible: it cannot be {when}. Nothing was changed.
    Check the day and the hour, and enter them again.
    """
