"""Measure how often an innocent person's copy is named, and how high such copies score.

The product itself compares each leak with 1,000 copies whose keys are generated after the leak was
made. So each key is an exact independent trial, and every copy that is named is named wrongly.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bench.attacks import ATTACKS, leak
from bench.attacks.collusion import merge
from bench.attacks.frame import resize_to
from bench.attacks.kinds import Rgb, Rng
from bench.attacks.tones import to_bytes
from bench.photographs import PHOTOGRAPHS, Size
from bench.tracing.memory_sender import SeededRandomSource, decoded, sender
from entrenous.base.copies import Copy
from entrenous.base.identifiers import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.base.limits import MARK_SEED_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.device.sent_messages import Message
from entrenous.send.copies.picture_copies import (
    PictureOriginal,
    new_mark_seed,
    picture_ledger_entry,
    prepare_original,
    write_picture_copy,
)
from entrenous.trace.originals import OriginalsCache
from entrenous.watermark.likelihood import upper_tail
from entrenous.watermark.verdict import NothingToWeigh, Trace
from tests.trace.offline_device import trace_picture

KEYS: Final = 1_000
POWERS: Final = (1, 2, 3, 4, 5, 6)
_OUTSIDERS: Final = 3
_SAMPLE_SCORES: Final = 24
_SLOW: Final = frozenset({"heic40"})


@dataclass(frozen=True, slots=True)
class NullRow:
    """The scores of innocent copies for one leak.

    ``scores`` is their number, ``total`` their sum, ``squares`` the sum of their squares.
    ``normal`` and ``bound`` count the scores whose p is below 1e-1 .. 1e-6, according to the normal
    tail and to the stated bound. ``best`` is the smallest chance in the verdict, corrected for the
    number of copies. ``some`` are the first few scores, for the plot.
    """

    index: int
    kind: str
    photo: str
    attack: str
    registered: bool
    scores: int
    total: float
    squares: float
    largest: float
    normal: tuple[int, ...]
    bound: tuple[int, ...]
    best: float
    named: int
    some: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A photograph, prepared for sending, and decoded copies of it whose keys are not searched."""

    name: str
    original: PictureOriginal
    outsiders: tuple[Rgb, ...]

    @property
    def plain(self) -> Rgb:
        """The samples of the unmarked picture."""
        return np.asarray(self.original.picture)


def scene(photo: str, size: Size, seed: int) -> Scene:
    """Prepare a photograph and three copies with keys that are never searched.

    Raises:
        FileNotFoundError: the photograph is not installed.
    """
    device = sender(f"outsiders {photo} {seed}")
    original = prepare_original(PHOTOGRAPHS[photo].file_at(size), None, device)
    copies = (write_picture_copy(original, new_mark_seed(device)) for _ in range(_OUTSIDERS))
    return Scene(photo, original, tuple(decoded(copy) for copy in copies))


def one_leak(
    index: int,
    seed: int,
    photos: tuple[str, ...],
    open_scene: Callable[[str], Scene],
    originals: OriginalsCache,
) -> NullRow:
    """Make and trace leak number ``index`` of a run.

    The number and the seed determine the photograph, the kind of leak, the attack and the keys.
    """
    rng = np.random.default_rng((seed, index))
    name, other = (str(one) for one in rng.choice(photos, 2, replace=False))
    here = open_scene(name)
    kind = str(rng.choice(list(KINDS), p=list(SHARES)))
    attack = str(rng.choice([name for name in ATTACKS if name not in _SLOW]))
    source = KINDS[kind](here, open_scene(other), rng)
    found = leak(attack, source, rng)
    case = _Case(index, kind, here, attack, originals)
    return _trace_and_score(case, found, SeededRandomSource(f"keys {seed} {index}"))


@dataclass(frozen=True, slots=True)
class _Case:
    index: int
    kind: str
    here: Scene
    attack: str
    originals: OriginalsCache


def _trace_and_score(case: _Case, found: bytes, random_source: SeededRandomSource) -> NullRow:
    trace = _traced(case, found, random_source)
    verdict = None if trace is None else trace.verdict
    scores = np.array([] if verdict is None else list(verdict.score.values()), float)
    return NullRow(
        index=case.index,
        kind=case.kind,
        photo=case.here.name,
        attack=case.attack,
        registered=trace is not None and trace.warp is not None,
        scores=scores.size,
        total=float(scores.sum()),
        squares=float(np.square(scores).sum()),
        largest=float(scores.max()) if scores.size else 0.0,
        normal=_below(ndtr(-scores)),
        bound=_below(np.array([upper_tail(float(score)) for score in scores])),
        best=1.0 if verdict is None else min(verdict.chance.values(), default=1.0),
        named=0 if verdict is None else len(verdict.named),
        some=tuple(round(float(score), 3) for score in scores[:_SAMPLE_SCORES]),
    )


def _traced(case: _Case, found: bytes, random_source: SeededRandomSource) -> Trace | None:
    """Trace the leak with the product, for a sender who sent this picture to 1,000 innocent people.

    Return None if the product finds no sent picture to compare the leak with.
    """
    device = sender("a sender whose copies never left")
    copies = tuple(
        Copy(
            RecipientId(f"innocent {n}"), Secret(random_source.token(MARK_SEED_BYTES)), sha256(b"")
        )
        for n in range(KEYS)
    )
    original = case.here.original
    sent = picture_ledger_entry(original, device.vault.store_file(original.source), copies)
    name, message = MessageName("innocent"), MessageId(random_source.token(ID_BYTES))
    device.ledger.store_message(Message(message, name, device.clock.now(), (sent,)))
    try:
        return trace_picture(found, device, case.originals)
    except NothingToWeigh:
        return None


def _below(chances: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int((chances < 10.0**-power).sum()) for power in POWERS)


def _unmarked(here: Scene, _other: Scene, _rng: Rng) -> Rgb:
    return here.plain


def _others_copy(here: Scene, _other: Scene, rng: Rng) -> Rgb:
    return here.outsiders[int(rng.integers(_OUTSIDERS))]


def _merged(here: Scene, _other: Scene, rng: Rng) -> Rgb:
    return merge("average", here.outsiders, rng)


def _twin(here: Scene, _other: Scene, rng: Rng) -> Rgb:
    """Return another photograph of the scene: the other image of a stereo camera if there is one,
    else the same photograph with a different framing, exposure and grain.
    """
    if here.name == "motorcycle":
        size = here.plain.shape
        return resize_to(PHOTOGRAPHS["motorcycle-right"].at(Size.S), size[1], size[0])
    high, wide = here.plain.shape[:2]
    top, left = (int(rng.integers(1, side // 25 + 2)) for side in (high, wide))
    shifted = here.plain[top:, left:].astype(np.float32)
    light = 255 * (shifted / 255) ** rng.uniform(0.8, 1.25)
    grain = rng.uniform(2, 6) * rng.standard_normal(light.shape, np.float32)
    return resize_to(to_bytes(light + grain), wide, high)


def _stranger(_here: Scene, other: Scene, _rng: Rng) -> Rgb:
    return other.plain


KINDS: Final = MappingProxyType(
    {
        "unmarked original": _unmarked,
        "other keys": _others_copy,
        "outsiders merged": _merged,
        "twin photograph": _twin,
        "stranger": _stranger,
    }
)
"""The kinds of innocent leaks, each with the function that makes its samples."""
SHARES: Final = (0.27, 0.27, 0.22, 0.22, 0.02)
"""The probability of each kind.

Strangers are rare, because most of them are rejected before any copy is scored, and rejecting a
picture takes longest.
"""


@dataclass(frozen=True, slots=True)
class Pooled:
    """Figures for many rows together.

    ``normal`` and ``bound`` are shares of all scores; ``best_below`` counts leaks whose ``best`` is
    at most 1e-1 .. 1e-6.
    """

    leaks: int
    registered: int
    scores: int
    mean: float
    sd: float
    largest: float
    normal: tuple[float, ...]
    bound: tuple[float, ...]
    best: float
    best_below: tuple[int, ...]
    named: int


def pooled(rows: Sequence[NullRow]) -> Pooled:
    """Sum up rows over all their scores, and over all leaks."""
    count = max(1, sum(row.scores for row in rows))
    mean = sum(row.total for row in rows) / count
    spread = sum(row.squares for row in rows) / count - mean**2
    share = [
        tuple(sum(getattr(row, tail)[k] for row in rows) / count for k in range(len(POWERS)))
        for tail in ("normal", "bound")
    ]
    return Pooled(
        leaks=len(rows),
        registered=sum(row.registered for row in rows),
        scores=count,
        mean=mean,
        sd=math.sqrt(max(0.0, spread)),
        largest=max((row.largest for row in rows), default=0.0),
        normal=share[0],
        bound=share[1],
        best=min((row.best for row in rows), default=1.0),
        best_below=tuple(sum(row.best <= 10.0**-k for row in rows) for k in POWERS),
        named=sum(row.named for row in rows),
    )
