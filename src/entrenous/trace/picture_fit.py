"""Align a found picture with sent ones, detect marks, and only then ask for the keys of their
copies.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import COPY_CONTEXT
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import by_label
from entrenous.device.sent_messages import Message, SentPicture
from entrenous.trace.originals import Originals
from entrenous.trace.outcome import MissingFiles
from entrenous.watermark.alignment.features import FeatureViews, feature_views
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.resample import warp_to_found, warp_to_sent
from entrenous.watermark.alignment.transforms import resizing
from entrenous.watermark.chip_layout import Layout, stream_bytes
from entrenous.watermark.detector import (
    ChipEvidence,
    PartialEvidence,
    by_coding,
    by_octave,
    join_partial_evidence,
    scores,
    without_copies,
)
from entrenous.watermark.embed import Prepared, trial_chips
from entrenous.watermark.jpeg_evidence import recoded, table_for
from entrenous.watermark.pyramid import luma
from entrenous.watermark.verdict import Score, Verdict, weigh_in_rounds


def hear(found: Picture, registration: Registration, prepared: Prepared) -> ChipEvidence:
    """The evidence of a found picture; ``prepared`` is the sent one that it was registered on."""
    with ThreadPoolExecutor(1) as beside:
        coding = beside.submit(_coding, found, registration, prepared)
        laid, covered = warp_to_sent(luma(np.asarray(found)), registration)
        octaves = by_octave(laid, covered, prepared)
        return join_partial_evidence(octaves, coding.result())


def _coding(
    found: Picture, registration: Registration, prepared: Prepared
) -> PartialEvidence | None:
    """What the leak's coefficients say; None when that would add nothing."""
    table = table_for(found.encoding.tables, found.pixels, prepared.layout)
    if table is None:
        return None
    at_work = _at_work(registration, prepared.layout)
    under, inside = warp_to_found(prepared.pixels_rgb, registration)
    trial, _ = warp_to_found(prepared.pattern(trial_chips(prepared.layout)), at_work)
    plane = recoded(np.asarray(found), under, inside, table, trial)
    laid, covered = warp_to_sent(plane, at_work)
    laid[~covered] = 0  # or what stands at the leak's border would speak for all beyond it
    return by_coding(laid, prepared)


def _at_work(registration: Registration, plan: Layout) -> Registration:
    """The same of the sent picture at the size at which marks are made."""
    rows, columns = plan.working
    size = (columns, rows)
    pose = registration.pose.resized(resizing(registration.sent_size, size), np.eye(3))
    return replace(registration, sent_size=size, pose=pose)


Sent = tuple[Message, SentPicture]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A found picture, and what its points look like, for all that it is laid over."""

    picture: Picture
    looks: FeatureViews

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Nothing is looked at before it is needed."""
        return cls(picture, feature_views(np.asarray(picture)))


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPicture:
    """A picture on which the found one lies, every message it was sent in, and the evidence.

    ``size`` is the width and height of the picture that was marked.
    """

    sent: tuple[Sent, ...]
    registration: Registration
    heard: ChipEvidence
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A sent picture that the found one lies on, and what its copies' marks say."""

    message: Message
    picture: SentPicture
    registration: Registration
    heard: ChipEvidence
    verdict: Verdict


def lying(  # noqa: PLR0913 - what is laid, on what, and how
    found: Found,
    sent: Sequence[Sent],
    originals: Originals,
    device: Device,
    *,
    lost: MissingFiles,
    patient: bool,
) -> Iterator[AlignedPicture]:
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
            yield AlignedPicture(tuple(same), registration, heard, size)


def weighed(one: AlignedPicture, compared: int) -> Iterator[Fit]:
    """What the copies of each message say; only here do keys come in."""
    for message, picture in one.sent:
        if picture.copies:
            verdict = weigh_in_rounds(_scorer(one, picture), compared=compared)
            yield Fit(message, picture, one.registration, one.heard, verdict)


def _scorer(one: AlignedPicture, picture: SentPicture) -> Score:
    """Scores of this picture's copies, in the evidence without those already named."""
    size = stream_bytes(*one.size)
    seeds = by_label(picture.copies, (copy.seed for copy in picture.copies))

    def grown(labels: Collection[RecipientId]) -> Iterator[bytes]:
        return (stream(seeds[who], COPY_CONTEXT, size) for who in labels)

    def score(named: Collection[RecipientId]) -> dict[RecipientId, float]:
        measured = scores(without_copies(one.heard, grown(named)), grown(seeds))
        return dict(zip(seeds, (float(value) for value in measured), strict=True))

    return score


def _by_original(
    sent: Iterable[Sent], device: Device, lost: MissingFiles
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
