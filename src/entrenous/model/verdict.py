"""What a trace found: how the leak lies on the sent picture, and which copies fit.

A verdict speaks of copies, never of people's deeds (the rule of the ENFSI guideline for evaluative
reporting: state the findings given the propositions, not the propositions). "Nobody" is a verdict,
not an error, and clears nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from entrenous.model.errors import NotFound
from entrenous.model.ids import MessageId, MessageName, RecipientId


class Finding(StrEnum):
    """What the scores allow us to say."""

    ONE = "one"  # exactly one copy explains the leak
    SEVERAL = "several"  # more than one does: merged copies, or one person with two devices
    NOBODY = "nobody"  # no copy stands out; this does *not* clear anybody


@dataclass(frozen=True, slots=True)
class Warp:
    """How a found picture lies on the sent one.

    ``homography`` maps homogeneous pixel-centre coordinates of the sent picture to those of the
    found one, row by row, 9 numbers; ``bent_px`` is how far, in pixels of the found one, a lens, a
    wave or curled paper takes a place away from there at the most. ``kept`` is the share of the
    sent picture's area that is still visible, in [0, 1]; ``turned_deg`` is the turn of the
    found picture, counter-clockwise,
    in (-180, 180]; ``mirrored`` is true when it was flipped left to right; ``scale`` is found
    pixels per sent pixel.
    """

    homography: tuple[float, ...]
    kept: float
    turned_deg: float
    mirrored: bool
    scale: float
    bent_px: float = 0.0

    def __post_init__(self) -> None:
        if len(self.homography) != 9:
            raise ValueError("a homography has 9 numbers")
        if not 0.0 <= self.kept <= 1.0:
            raise ValueError("kept is a share of the area, between 0 and 1")


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a sent clip or sound a found one shows.

    The found one starts at ``start_s`` of the sent one and shows ``length_s`` seconds of it;
    ``speed`` is 1.02 when it plays 2 % faster. A single
    frame has a length of 0.
    """

    start_s: float
    length_s: float
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.length_s < 0.0 or self.speed <= 0.0:
            raise ValueError("a span has a length and a speed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to "whose copy is this?".

    ``named`` runs from most to least likely and is empty when ``finding`` is ``NOBODY``.
    ``chance`` maps every compared recipient to the probability, in [0, 1], that the best of as
    many innocent copies as were compared would score as high: small means that this copy stands
    out. ``score`` is in standard deviations of an innocent copy's score. ``likelihood_ratio`` says
    how many times better "this copy" explains the evidence than "an innocent copy" does.
    """

    finding: Finding
    named: tuple[RecipientId, ...]
    chance: Mapping[RecipientId, float]
    score: Mapping[RecipientId, float]
    likelihood_ratio: Mapping[RecipientId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a trace says of one further message: a verdict on its copies, and how the leak lies
    (None for a sound).
    """

    message: MessageName
    verdict: Verdict
    warp: Warp | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A verdict about one found file, kept so that a case can be opened from it.

    ``message`` and ``warp`` are None when the file resembles no picture that was sent from here.
    ``span`` is there when a clip or a sound was found, or a frame of a sent clip. ``compared`` is
    the number of copies that the chances count; 0 in traces that are older than this field.
    ``others``
    are further messages of which copies are named: a collage, or copies of two messages merged.
    ``lost`` are messages that it could not be compared with, for what this device kept of them
    cannot be read any more: nothing is said about their copies.
    """

    number: int
    at: datetime
    leak_sha256: bytes
    verdict: Verdict
    message: MessageName | None = None
    warp: Warp | None = None
    span: Span | None = None
    compared: int = 0
    others: tuple[Part, ...] = ()
    lost: tuple[MessageId, ...] = ()


class NoSuchTrace(NotFound):
    """
    There is no trace number {number} on this device. Trace the picture again with:
    entrenous trace FILE
    """


class NothingToWeigh(NotFound):
    """
    There is nobody to compare this with: it was not sent from this device, or its record was
    deleted. See what was sent with: entrenous sent
    """
