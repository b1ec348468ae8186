"""Judged uploads: the decision, what was kept for a review, and who decided (gate.md, 5, 7)."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match, SoundPrint


class Outcome(StrEnum):
    """What happens to an upload, from mildest to strictest."""

    LET_THROUGH = "let through"
    HOLD = "hold"  # not published until a person has looked
    REFUSE = "refuse"


class Publishes(StrEnum):
    """Which uploads a platform publishes although the gate says otherwise; it says so beforehand,
    so that the gate lists them (docs/spec/gate.md section 6.4).
    """

    NOTHING = "nothing"  # what is held waits, and what is refused is refused
    HELD = "held"  # what fits a claim and is held: the platform has no place where it could wait
    ALL = "all"  # whatever the gate says: the hook is in shadow


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an upload, and why. ``case`` is the number to quote when asking again.

    ``would`` is what banks in shadow would have done, None if nothing stricter. ``secret`` opens an
    appeal; only its SHA-256 is kept. ``listed``: the platform publishes it all the same, so it
    waits for a person and is listed as published.
    """

    outcome: Outcome
    case: str
    matches: tuple[Match, ...] = ()
    would: Outcome | None = None
    secret: Secret | None = field(default=None, compare=False)
    listed: bool = False


REFERENCE_CHARS_MAX: Final = 200


class ReviewState(StrEnum):
    """Where an upload is."""

    WAITING = "waiting"  # held, for a person to look at
    CONFIRMED = "confirmed"  # a person refused it
    RELEASED = "released"  # a person let it through
    CLOSED = "closed"  # decided without a person


class Found(StrEnum):
    """How a case came before a reviewer."""

    UPLOAD = "upload"  # it was held as it came
    LOOK_BACK = "look back"  # it was let through, and a newer claim fits it
    SLOW_LOOK = "slow look"  # it was let through, and the look after the answer found more
    APPEAL = "appeal"  # it was refused, and the uploader asked for a person
    PUBLISHED = "published"  # it fits, and the platform published it all the same


LATE: Final = frozenset({Found.LOOK_BACK, Found.SLOW_LOOK})
"""What was let through before, and found afterwards."""


LATER: Final = LATE | {Found.PUBLISHED}
"""What the platform has published, before a person looked."""


LISTED_FOR: Final = timedelta(days=30)
"""How long a platform is told to remove what it had published and a person confirmed."""


@dataclass(frozen=True, slots=True)
class Review:
    """An upload that was judged.

    ``bits`` is its hash, kept only while it is needed. ``entry`` is the number of the registered
    hash that it fits best: a flood is counted by it. ``reference`` is the platform's own name of
    the upload; ``gathered`` counts the uploads that wait with it, and ``also`` names those that
    were decided with it. ``has_bytes`` says whether the upload itself is kept for the reviewer;
    ``slow_look_due`` and, to look back at a clip, ``frames``, hashes of what it shows, and
    ``sound`` are told when it is recorded, and not read again. ``first_confirmer`` is who confirmed
    it first where another person has to, as well; empty when nobody has.
    """

    decision: Decision
    at: datetime
    state: ReviewState
    bits: bytes | None = None
    entry: int | None = None
    reference: str = ""
    found: Found = Found.UPLOAD
    secret_sha256: bytes | None = None
    upload_sha256: bytes | None = None
    gathered: int = 0
    also: tuple[str, ...] = ()
    first_confirmer: str = ""
    has_bytes: bool = field(default=False, compare=False)
    slow_look_due: bool = field(default=False, compare=False)
    frames: tuple[bytes, ...] = field(default=(), compare=False)
    sound: SoundPrint | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.reference) > REFERENCE_CHARS_MAX:
            raise ValueError(f"a reference has at most {REFERENCE_CHARS_MAX} characters")

    @property
    def case(self) -> str:
        """The case number."""
        return self.decision.case

    @property
    def was_refused(self) -> bool:
        """By the machine, or by a reviewer: what an appeal is about."""
        by_machine = self.state is ReviewState.CLOSED and self.decision.outcome is Outcome.REFUSE
        return by_machine or self.state is ReviewState.CONFIRMED


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """An upload that was let through or waits, and whose hash is kept for claims that come."""

    number: int
    case: str
    bits: bytes


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip that was let through first, and the hashes of its frames (32 bytes each)."""

    number: int
    case: str
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeptSound:
    """A clip or a sound that was let through first, and how it sounds."""

    number: int
    case: str
    sound: SoundPrint


@dataclass(frozen=True, slots=True)
class Release:
    """A reviewer let something through ``at`` that time. ``number`` is above that of every change
    of a claim that came before it; ``distance`` is how far an upload lies from it, in bits.
    """

    at: datetime
    number: int
    distance: int = 0


@dataclass(frozen=True, slots=True)
class SlowLook:
    """An upload that was let through and is to be looked at slowly, with its bytes."""

    case: str
    untrusted_upload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LateFind:
    """What was found in an upload after it had been let through: claims, and the number of the
    registered hash that it fits best. ``bits`` (32 bytes) and SHA-256 where they are known anew.
    """

    case: str
    matches: tuple[Match, ...]
    entry: int
    found: Found = Found.LOOK_BACK
    bits: bytes | None = None
    upload_sha256: bytes | None = None

    def __post_init__(self) -> None:
        if self.found not in LATE:
            raise ValueError("it was let through before")


@dataclass(frozen=True, slots=True)
class Due:
    """How much is to be done after answers, and how many slow looks were skipped for a day."""

    slow_looks: int = 0
    slow_looks_skipped: int = 0
    look_backs: int = 0


@dataclass(frozen=True, slots=True)
class Appeal:
    """An uploader asks for a person: the proof, and the same file again or None."""

    case: str
    secret_sha256: bytes
    at: datetime
    upload_sha256: bytes | None = None


class NoSuchReview(NotFound):
    """There is no upload with the case number {case} here."""


class UploadNotKept(NoSuchReview):
    """
    The bytes of case {case} are not kept here: they are deleted with the decision, and of some
    uploads that wait there are none. Look at the platform's own copy.
    """


class NoView(NotFound):
    """
    No view can be made of case {case}: there is nothing to be seen in it, or it cannot be read. Its
    bytes are there for whoever asks for them.
    """


class UploadShut(UploadNotKept):
    """
    The bytes of case {case} are sealed with a key that this gate has no more. Look at the
    platform's own copy; if you still have the key, add it to the gate's file of keys.
    """


class AlreadyDecided(Refused):
    """Somebody has already decided case {case}: it is {state}. Take the next one."""


class FitsMore(Refused):
    """
    Case {case} fits claims that you were not shown. It names them now, and nothing was decided.
    Look at it again.
    """


class AlreadyAppealed(Refused):
    """
    A person was already asked to look at case {case}. Nothing was changed; wait for their answer.
    """


class NotThatUpload(Unproven):
    """
    This is not the file of case {case}, so nothing was changed. Send exactly the file that was not
    accepted, or none: then the reviewer looks at the platform's own copy, if there is one.
    """


class BadReference(Malformed):
    """
    A reference is the platform's own name of an upload, at most {most} printable characters. This
    one is not, so nothing was judged: publish nothing, and send the upload again.
    """


OPERATOR: Final = "operator"  # who shows the operator's token; no reviewer's name
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person with a token of their own, by the name that the operator gave them."""

    name: str
    added_at: datetime

    def __post_init__(self) -> None:
        if not may_be_reviewer(self.name):
            raise ValueError("a reviewer's name has 2 to 40 of the characters a-z, 0-9 and -")


def may_be_reviewer(name: str) -> bool:
    """Whether a reviewer can be called so."""
    return NAME.fullmatch(name) is not None and name != OPERATOR


class BadReviewerName(Malformed):
    """
    A reviewer's name has 2 to 40 of the characters a-z, 0-9 and -, begins and ends with none of the
    last, and is not "operator". This one is not, so nothing was changed.
    """


class ReviewerKnown(Refused):
    """
    There is a reviewer called {name} already, so nothing was changed. Take another name; or, for a
    new token, end the old one first: entrenous gate reviewer remove {name}
    """


class NoSuchReviewer(NotFound):
    """
    There is no reviewer called {name} here. To see who there is: entrenous gate reviewer list
    """


class WrongReviewToken(Unproven):
    """
    The gate at {url} knows no reviewer by this token, and it is not its operator's. Nothing was
    shown or changed. Whoever runs the gate makes one: entrenous gate reviewer add
    """


class SecondPersonNeeded(Refused):
    """
    Two persons have to confirm, and {reviewer} is the first one for case {case}. Nothing was
    changed: it waits for somebody else. It can be released, or the next one looked at.
    """
