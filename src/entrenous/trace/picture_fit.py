"""Register a found picture to sent ones, gather evidence, and only then derive copies' keys."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import COPY_MARK_KEY_CONTEXT
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import values_by_label
from entrenous.device.sent_messages import Message, SentPicture
from entrenous.trace.originals import OriginalsCache
from entrenous.trace.outcome import MissingFiles
from entrenous.watermark.alignment.features import FoundPictureFeatures, wrap_found_picture
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.resample import warp_to_found, warp_to_sent
from entrenous.watermark.alignment.transforms import resizing
from entrenous.watermark.chip_layout import ChipLayout, key_stream_bytes
from entrenous.watermark.detector import (
    ChipEvidence,
    PartialEvidence,
    coefficient_evidence_per_chip,
    combine_partial_evidence,
    copy_scores,
    octave_evidence_per_chip,
    remove_copies,
)
from entrenous.watermark.embed import PreparedPicture
from entrenous.watermark.jpeg_evidence import (
    coefficient_evidence_per_pixel,
    luma_quantisation_table_for,
)
from entrenous.watermark.pyramid import luma
from entrenous.watermark.verdict import ScoreCopies, Verdict, name_in_rounds


def detect_evidence(
    found: Picture, registration: Registration, prepared: PreparedPicture
) -> ChipEvidence:
    """Return the evidence of marks in a picture that is registered to the original ``prepared``."""
    with ThreadPoolExecutor(1) as executor:
        coefficients = executor.submit(_jpeg_evidence, found, registration, prepared)
        warped, covered = warp_to_sent(luma(np.asarray(found)), registration)
        octaves = octave_evidence_per_chip(warped, covered, prepared)
        return combine_partial_evidence(octaves, coefficients.result())


def _jpeg_evidence(
    found: Picture, registration: Registration, prepared: PreparedPicture
) -> PartialEvidence | None:
    """Return the evidence in the leak's JPEG coefficients; None if they would add nothing."""
    table = luma_quantisation_table_for(found.encoding.tables, found.pixel_count, prepared.layout)
    if table is None:
        return None
    at_work = _registration_at_working_size(registration, prepared.layout)
    under, inside = warp_to_found(prepared.pixels_rgb, registration)
    trial, _ = warp_to_found(prepared.trial_pattern, at_work)
    plane = coefficient_evidence_per_pixel(np.asarray(found), under, inside, table, trial)
    warped, covered = warp_to_sent(plane, at_work)
    warped[~covered] = 0  # outside the leak, interpolated border pixels must not count as evidence
    return coefficient_evidence_per_chip(warped, prepared)


def _registration_at_working_size(registration: Registration, layout: ChipLayout) -> Registration:
    """Return the same registration for the sent picture at the size at which marks are embedded."""
    rows, columns = layout.working_size
    size = (columns, rows)
    pose = registration.pose.resized(resizing(registration.sent_size, size), np.eye(3))
    return replace(registration, sent_size=size, pose=pose)


SentPictureInMessage = tuple[Message, SentPicture]


@dataclass(frozen=True, slots=True, eq=False)
class FoundPicture:
    """A found picture, and its local features, which are computed when first needed."""

    picture: Picture
    features: FoundPictureFeatures

    @classmethod
    def of(cls, picture: Picture) -> Self:
        return cls(picture, wrap_found_picture(np.asarray(picture)))


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPicture:
    """A sent picture that the found one was registered to, with all its messages and the evidence.

    ``size`` is the width and height in pixels of the picture that was marked.
    """

    sent: tuple[SentPictureInMessage, ...]
    registration: Registration
    evidence: ChipEvidence
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class PictureFit:
    """A sent picture that the found one was registered to, and the verdict on its copies."""

    message: Message
    picture: SentPicture
    registration: Registration
    evidence: ChipEvidence
    verdict: Verdict


def align_with_originals(  # noqa: PLR0913 - the picture, its candidates, and how to try them
    found: FoundPicture,
    sent: Sequence[SentPictureInMessage],
    originals: OriginalsCache,
    device: Device,
    *,
    lost: MissingFiles,
    thorough: bool,
) -> Iterator[AlignedPicture]:
    """Register the found picture to each sent one, and yield those where that succeeds.

    Equal originals are registered once. Originals that cannot be read are noted in ``lost``.
    ``thorough`` also tries methods that take seconds, for pictures with few features.
    """
    for (source, size_px), same in _group_readable_by_original(sent, device, lost).items():
        original = originals.original_for(source, size_px)
        with ThreadPoolExecutor(1) as executor:
            # prepared ahead, because a picture that resembles the found one usually matches
            preparing = executor.submit(original.prepared)
            registration = register(
                found.features, np.asarray(original.picture), original.features(), thorough=thorough
            )
            prepared = preparing.result()
        if registration is not None:
            evidence = detect_evidence(found.picture, registration, prepared)
            size = original.picture.width_px, original.picture.height_px
            yield AlignedPicture(tuple(same), registration, evidence, size)


def weigh_copies(aligned: AlignedPicture, compared: int) -> Iterator[PictureFit]:
    """Yield a verdict on the copies of each message; the copies' keys are derived only here."""
    for message, picture in aligned.sent:
        if picture.copies:
            verdict = name_in_rounds(_score_function(aligned, picture), compared=compared)
            yield PictureFit(message, picture, aligned.registration, aligned.evidence, verdict)


def _score_function(aligned: AlignedPicture, picture: SentPicture) -> ScoreCopies:
    """Return a function that scores this picture's copies.

    The function's argument is the labels of the copies named so far, whose evidence is removed
    first.
    """
    size = key_stream_bytes(*aligned.size)
    seeds = values_by_label(picture.copies, (copy.seed for copy in picture.copies))

    def chip_streams(labels: Collection[RecipientId]) -> Iterator[bytes]:
        return (derive_key_stream(seeds[who], COPY_MARK_KEY_CONTEXT, size) for who in labels)

    def score_all_without(named: Collection[RecipientId]) -> dict[RecipientId, float]:
        measured = copy_scores(
            remove_copies(aligned.evidence, chip_streams(named)), chip_streams(seeds)
        )
        return dict(zip(seeds, (float(value) for value in measured), strict=True))

    return score_all_without


def _group_readable_by_original(
    sent: Iterable[SentPictureInMessage], device: Device, lost: MissingFiles
) -> dict[tuple[bytes, int | None], list[SentPictureInMessage]]:
    """Group sent pictures by source bytes and reduced size, skipping unreadable ones."""
    names: dict[tuple[bytes, int | None], tuple[bytes, list[SentPictureInMessage]]] = {}
    for message, picture in sent:
        source = lost.read_or_record_missing(picture.original, message, device)
        if source is None:
            continue
        key = (sha256(source), picture.size_px)
        names.setdefault(key, (source, []))[1].append((message, picture))
    return {(source, size_px): same for (_, size_px), (source, same) in names.items()}
