"""Lay a found picture over sent ones, listen, and only then ask for the keys of their copies."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np

from entrenous.craft.align.look import Looks, looks
from entrenous.craft.align.register import Registration, register
from entrenous.craft.crypto.derive import stream
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.mark.code import stream_bytes
from entrenous.craft.mark.ear.aside import without
from entrenous.craft.mark.listen import Heard, scores
from entrenous.craft.weigh.rounds import Score, weigh_in_rounds
from entrenous.model.ids import RecipientId
from entrenous.model.message import Message, SentPicture
from entrenous.model.picture import Picture
from entrenous.model.verdict import Verdict
from entrenous.ports import Device
from entrenous.spec import COPY_CONTEXT
from entrenous.trace.lost import Lost
from entrenous.trace.photo.hear import hear
from entrenous.trace.photo.labels import by_label
from entrenous.trace.photo.original import Originals

Sent = tuple[Message, SentPicture]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A found picture, and what its points look like, for all that it is laid over."""

    picture: Picture
    looks: Looks

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Nothing is looked at before it is needed."""
        return cls(picture, looks(np.asarray(picture)))


@dataclass(frozen=True, slots=True, eq=False)
class Lying:
    """A picture on which the found one lies, every message it was sent in, and the evidence.

    ``size`` is the width and height of the picture that was marked.
    """

    sent: tuple[Sent, ...]
    registration: Registration
    heard: Heard
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A sent picture that the found one lies on, and what its copies' marks say."""

    message: Message
    picture: SentPicture
    registration: Registration
    heard: Heard
    verdict: Verdict


def lying(  # noqa: PLR0913 - what is laid, on what, and how
    found: Found,
    sent: Sequence[Sent],
    originals: Originals,
    device: Device,
    *,
    lost: Lost,
    patient: bool,
) -> Iterator[Lying]:
    """The found picture on each of these that it lies on; equal originals are taken as one, and
    those that cannot be read any more are noted in ``lost``.

    ``patient`` also tries what takes seconds, for pictures with few points.
    """
    for (source, size_px), same in _by_original(sent, device, lost).items():
        original = originals.of(source, size_px)
        with ThreadPoolExecutor(1) as beside:  # most that resemble the found one are the one
            ready = beside.submit(original.prepared)
            registration = register(
                found.looks,
                np.asarray(original.picture),
                original.features(),
                thorough=patient,
            )
            prepared = ready.result()
        if registration is not None:
            heard = hear(found.picture, registration, prepared)
            size = original.picture.width_px, original.picture.height_px
            yield Lying(tuple(same), registration, heard, size)


def weighed(one: Lying, compared: int) -> Iterator[Fit]:
    """What the copies of each message say; only here do keys come in."""
    for message, picture in one.sent:
        if picture.copies:
            verdict = weigh_in_rounds(_scorer(one, picture), compared=compared)
            yield Fit(message, picture, one.registration, one.heard, verdict)


def _scorer(one: Lying, picture: SentPicture) -> Score:
    """Scores of this picture's copies, in the evidence without those already named."""
    size = stream_bytes(*one.size)
    seeds = by_label(picture.copies, (copy.seed for copy in picture.copies))

    def grown(labels: Collection[RecipientId]) -> Iterator[bytes]:
        return (stream(seeds[who], COPY_CONTEXT, size) for who in labels)

    def score(named: Collection[RecipientId]) -> dict[RecipientId, float]:
        measured = scores(without(one.heard, grown(named)), grown(seeds))
        return dict(zip(seeds, (float(value) for value in measured), strict=True))

    return score


def _by_original(
    sent: Iterable[Sent], device: Device, lost: Lost
) -> dict[tuple[bytes, int | None], list[Sent]]:
    """Sent pictures by their source file's bytes and the size it was reduced to.

    One whose file cannot be read is passed over: it keeps no other from being traced.
    """
    names: dict[tuple[bytes, int | None], tuple[bytes, list[Sent]]] = {}
    for message, picture in sent:
        source = lost.kept(picture.original, message, device)
        if source is None:
            continue
        key = (sha256(source), picture.size_px)
        names.setdefault(key, (source, []))[1].append((message, picture))
    return {(source, size_px): same for (_, size_px), (source, same) in names.items()}
