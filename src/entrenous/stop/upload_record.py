"""Judged uploads: the decision, the data stored for a review, and reviewers (docs/spec/gate.md)."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match, SoundPrint


class Outcome(StrEnum):
    """The outcome for an upload, from mildest to strictest."""

    LET_THROUGH = "let through"
    HOLD = "hold"  # not published until a person has reviewed it
    REFUSE = "refuse"


class PublishedAnyway(StrEnum):
    """The uploads that a platform publishes against the gate's decision.

    The platform declares in advance which uploads these are, and the gate lists them
    (docs/spec/gate.md section 6.4).
    """

    NOTHING = "nothing"
    HELD = "held"  # held uploads that match a claim: the platform cannot keep them waiting
    ALL = "all"  # every upload: a hook in shadow mode only records the decisions


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for an upload, with its reasons. ``case`` is the case number to refer to.

    A bank in shadow mode changes no outcome. ``would`` is the outcome that the upload would have if
    no bank were in shadow mode; None if that is not stricter. ``secret`` is needed to appeal; only
    its SHA-256 is stored. ``listed`` says that the platform publishes the upload although it waits
    for review, and that the gate lists it as published.
    """

    outcome: Outcome
    case: str
    matches: tuple[Match, ...] = ()
    would: Outcome | None = None
    secret: Secret | None = field(default=None, compare=False)
    listed: bool = False


REFERENCE_CHARS_MAX: Final = 200


class ReviewState(StrEnum):
    """The review state of an upload."""

    WAITING = "waiting"  # waits for review by a person
    CONFIRMED = "confirmed"  # a person refused it
    RELEASED = "released"  # a person let it through
    CLOSED = "closed"  # decided without a person


class FoundBy(StrEnum):
    """Why an upload waits for a reviewer."""

    UPLOAD = "upload"  # it was held on arrival
    LOOK_BACK = "look back"  # it was let through, and a newer claim matches it
    SLOW_LOOK = "slow look"  # it was let through, and the deferred scan found a match
    APPEAL = "appeal"  # it was refused, and the uploader appealed
    PUBLISHED = "published"  # it matches, but the platform published it


# these find an upload after it was let through
FOUND_RETROACTIVELY: Final = frozenset({FoundBy.LOOK_BACK, FoundBy.SLOW_LOOK})
PUBLISHED_LISTING_PERIOD: Final = timedelta(days=30)
"""How long a published upload that a person confirmed is listed for removal by the platform."""


@dataclass(frozen=True, slots=True)
class Review:
    """A judged upload.

    ``bits`` is the hash of the upload, kept only while it is needed. ``entry`` is the number of the
    registered hash that the upload matches best. Floods (many uploads that match one hash) are
    counted by that number. ``reference`` is the platform's name for the upload. ``gathered`` counts
    the uploads that wait with this one; ``also`` has the cases decided with this one. ``has_bytes``
    says whether the upload's bytes are kept for the reviewer. ``slow_look_due`` says that a
    deferred scan is due; ``frames`` (hashes) and ``sound`` are for looking back at a clip. These
    three are stored with the upload, but a review that is read from the store lacks them. If two
    people have to confirm, ``first_confirmer`` is the one who did so first; empty if nobody has
    confirmed yet.
    """

    decision: Decision
    at: datetime
    state: ReviewState
    bits: bytes | None = None
    entry: int | None = None
    reference: str = ""
    found: FoundBy = FoundBy.UPLOAD
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
        return self.decision.case

    @property
    def was_refused(self) -> bool:
        """Return whether the gate or a reviewer refused the upload, so that its uploader may
        appeal.
        """
        by_machine = self.state is ReviewState.CLOSED and self.decision.outcome is Outcome.REFUSE
        return by_machine or self.state is ReviewState.CONFIRMED


@dataclass(frozen=True, slots=True)
class StoredPictureHash:
    """An accepted or waiting upload whose hash is kept for later claims."""

    number: int
    case: str
    bits: bytes


@dataclass(frozen=True, slots=True)
class StoredClipHashes:
    """A clip that was accepted or waits, with the hashes of its frames (32 bytes each)."""

    number: int
    case: str
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StoredSoundPrint:
    """A clip or sound that was accepted or waits, with the fingerprint of its sound."""

    number: int
    case: str
    sound: SoundPrint


@dataclass(frozen=True, slots=True)
class Release:
    """A reviewer's release of an upload, at the time ``at``.

    ``number`` is above the numbers of all earlier changes of claims. ``distance`` is the distance
    of another upload from the released one, in bits.
    """

    at: datetime
    number: int
    distance: int = 0


@dataclass(frozen=True, slots=True)
class UploadForDeferredScan:
    """A published upload whose deferred scan is due, with its bytes."""

    case: str
    untrusted_upload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RetroactiveMatches:
    """Matches of an upload that were found after the gate had decided on it.

    ``entry`` is the number of the registered hash that the upload matches best. ``bits`` (32 bytes)
    and ``upload_sha256`` are given if they were computed again.
    """

    case: str
    matches: tuple[Match, ...]
    entry: int
    found: FoundBy = FoundBy.LOOK_BACK
    bits: bytes | None = None
    upload_sha256: bytes | None = None

    def __post_init__(self) -> None:
        if self.found not in FOUND_RETROACTIVELY:
            raise ValueError("only an upload that was let through before has late matches")


@dataclass(frozen=True, slots=True)
class DueCounts:
    """The numbers of work items that are due, and of deferred scans skipped within a day."""

    slow_looks: int = 0
    slow_looks_skipped: int = 0
    look_backs: int = 0


@dataclass(frozen=True, slots=True)
class Appeal:
    """An uploader's request for human review.

    ``secret_sha256`` is the hash of the secret that proves who asks. ``upload_sha256`` is that of
    the file, if the uploader sent the file again.
    """

    case: str
    secret_sha256: bytes
    at: datetime
    upload_sha256: bytes | None = None


class NoSuchReview(NotFound):
    """
    This gate has no upload with the case number {case}, or the secret that was sent with an appeal
    does not belong to that number. Nothing was changed. Check the number and, for an appeal, the
    secret that came with the decision.
    """


class UploadNotKept(NoSuchReview):
    """
    This gate does not have the file of case {case}: the gate deletes files after the decision, and
    for some uploads it never stored the file. Look at the platform's own copy.
    """


class NoView(NotFound):
    """
    Case {case} cannot be displayed: its file cannot be read, or contains no picture. You can
    download the file itself.
    """


class UploadKeyMissing(UploadNotKept):
    """
    The file of case {case} cannot be decrypted: either this gate no longer has the key, or the
    stored file is damaged. Nothing was changed. Look at the platform's own copy. If you still have
    the key, add it to the gate's key file.
    """


class AlreadyDecided(Refused):
    """
    Case {case} no longer waits for a decision: it is {state}. Nothing was changed. Continue with
    the next case.
    """


class UnshownMatches(Refused):
    """
    Case {case} also matches registrations that you were not shown. Nothing was decided. These
    registrations are listed in the case now: look at it again.
    """


class AlreadyAppealed(Refused):
    """
    A person has already been asked to review case {case}. Nothing was changed. Wait for their
    answer.
    """


class UploadFileDiffers(Unproven):
    """
    This is not the file of case {case}. Nothing was changed. Send exactly the file that was
    refused. If you send no file, the reviewer looks at the platform's own copy, if there is one.
    """


class BadReference(Malformed):
    """
    The reference of this upload is not valid, so nothing was checked. A reference is the platform's
    own name for an upload, with at most {most} printable characters. Do not publish the upload;
    send it again with a valid reference.
    """


# Names the holder of the operator's token, so it is not allowed as a reviewer's name.
OPERATOR_NAME: Final = "operator"
REVIEWER_NAME_PATTERN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person with a token of their own; the operator chose the name."""

    name: str
    added_at: datetime

    def __post_init__(self) -> None:
        if not is_reviewer_name(self.name):
            raise ValueError("a reviewer's name has 2 to 40 of the characters a-z, 0-9 and -")


def is_reviewer_name(name: str) -> bool:
    """Return whether a reviewer may have this name."""
    return REVIEWER_NAME_PATTERN.fullmatch(name) is not None and name != OPERATOR_NAME


class BadReviewerName(Malformed):
    """
    A reviewer's name has 2 to 40 characters: a-z, 0-9 and -. It does not begin or end with -, and
    is not "operator". Nothing was changed. Choose another name.
    """


class ReviewerKnown(Refused):
    """
    There is already a reviewer called {name}. Nothing was changed. Choose another name. For a new
    token, remove the reviewer first: entrenous gate reviewer remove {name}
    """


class NoSuchReviewer(NotFound):
    """
    There is no reviewer called {name} here. Nothing was changed. To list the reviewers: entrenous
    gate reviewer list
    """


class WrongReviewToken(Unproven):
    """
    The gate at {url} does not accept this token: it is neither a reviewer's nor the operator's.
    Nothing was shown or changed. The operator can make a token: entrenous gate reviewer add
    """


class SecondPersonNeeded(Refused):
    """
    Two people have to confirm case {case}, and {reviewer} is already the first one. Nothing was
    changed: the case waits for somebody else. You can still decide to let the upload through
    (release), or go on to the next case.
    """
