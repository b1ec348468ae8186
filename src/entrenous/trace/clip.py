"""Trace a clip: align it with a sent clip, gather evidence, and only then derive copies' keys.

The alignment gives the position in the frame, the position in time, and the speed
(docs/spec/clip.md). A probe is a frame of the found clip that is compared with stored key frames of
sent clips. An anchor is a pair of a probe and a key frame that match. A strip is a series of
thumbnails, each of which is flattened to one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame, FrameSelection, NoVideoFound
from entrenous.base.limits import CLIP_MARK_KEY_CONTEXT, PILOT_KEY_CONTEXT
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import values_by_label
from entrenous.device.sent_messages import SentClip
from entrenous.trace.clip_candidates import (
    Anchor,
    ClipCandidate,
    clip_candidates,
    find_anchors,
    luma_to_rgb,
)
from entrenous.trace.outcome import (
    NO_EVIDENCE_VERDICT,
    MessageVerdict,
    MissingFiles,
    build_trace,
    count_all_sent_copies,
)
from entrenous.watermark.alignment.clip_timing import (
    FrameRows,
    Timing,
    covers_enough,
    nearest_indices,
    shrink_for_timing,
    thumbnail_rows,
    warp_to_thumbnail,
)
from entrenous.watermark.alignment.features import FoundPictureFeatures, wrap_found_picture
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.resample import warp_to_sent
from entrenous.watermark.alignment.transforms import Homography, describe_warp, resizing
from entrenous.watermark.clip_mark import node_key_stream_bytes, nodes_at, working_luma
from entrenous.watermark.detector import (
    ClipEvidence,
    FrameEvidenceAccumulator,
    combine_frame_evidence,
)
from entrenous.watermark.verdict import (
    MatchedSpan,
    NothingToWeigh,
    PictureWarp,
    Trace,
    Verdict,
    name_by_scores,
)

_SAMPLED_FRAMES_MAX: Final = 12
# time around an anchor's key frame that is searched if the camera moves
_MOVING_CAMERA_RANGE_S: Final = 3.0
# time around an anchor's key frame that is searched if the scene is still
_STILL_SCENE_RANGE_S: Final = 20.0
_DECODED_MARGIN_S: Final = 0.7
_NEARBY_FRAMES_S: Final = 0.2
_REGISTRATION_ROUNDS_MAX: Final = 3
_CERTAIN_LIKENESS_MIN: Final = 1.5  # the search stops at this likeness; the maximum is 2
_LIKENESS_MIN: Final = 0.3  # unrelated clips reach less; the maximum is 2


@dataclass(frozen=True, slots=True, eq=False)
class ClipPositionHypothesis:
    """A guess at the position and time in a sent clip that the found frames show."""

    anchor: Anchor
    homography: Homography
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False)
class _ProbeFrame:
    """A found frame that anchors refer to, with its features."""

    frame: Frame
    features: FoundPictureFeatures

    @classmethod
    def of(cls, frame: Frame) -> Self:
        return cls(frame, wrap_found_picture(luma_to_rgb(np.asarray(frame))))


@dataclass(frozen=True, slots=True, eq=False)
class ClipAlignment:
    """The alignment of a found clip with a sent one.

    ``sent`` are frames of the sent clip: the part that the found clip shows, and some around it.
    ``registration`` maps their pixels to those of the found frames.
    """

    candidate: ClipCandidate
    registration: Registration
    timing: Timing
    sent: list[Frame]

    def sent_frame_at(self, found_s: float) -> Frame:
        wanted = np.array([self.timing.start_s + self.timing.speed * found_s])
        return self.sent[int(nearest_indices(_frame_times(self.sent), wanted)[0])]


def align_clip(
    found: list[Frame],
    probes: list[Frame],
    anchors: list[Anchor],
    device: Device,
    lost: MissingFiles,
) -> ClipAlignment | None:
    """Align found frames with the likeliest sent clip to which they can be registered.

    Args:
        found: frames of the found clip in time order.
        probes: the found frames that anchors refer to.
        anchors: candidate matches between a probe and a key frame.
        device: the device whose vault holds the sent clips.
        lost: records the clips that cannot be read any more.

    Returns: None if the frames can be registered to no clip.
    """
    sampled, known = _sample_frames(found), [_ProbeFrame.of(probe) for probe in probes]
    hypotheses: list[ClipPositionHypothesis] = []
    for anchor in anchors:
        hypothesis = _match_thumbnails(sampled, anchor)
        hypotheses += [] if hypothesis is None else [hypothesis]
        if hypothesis is not None and hypothesis.timing.likeness >= _CERTAIN_LIKENESS_MIN:
            break
    for hypothesis in sorted(hypotheses, key=lambda one: -one.timing.likeness):
        if hypothesis.timing.likeness < _LIKENESS_MIN:
            break
        probe = known[hypothesis.anchor.probe]
        aligned = _register_probe(sampled, probe, hypothesis, device, lost)
        if aligned is not None:
            return aligned
    return None


def homographies_over_time(
    homography: Homography,
    at_s: float,
    times: NDArray[np.float64],
    candidate: ClipCandidate,
    size: tuple[int, int],
) -> list[Homography]:
    """Predict the registrations at ``times`` from the one at ``at_s``.

    The prediction assumes that only the camera moved. ``size`` is the size of the sent frames that
    the homography refers to.
    """
    motions = [candidate.camera.motion_between(float(time), at_s, size) for time in times]
    return [homography @ np.vstack([motion, [0.0, 0.0, 1.0]]) for motion in motions]


def _match_thumbnails(sampled: list[Frame], anchor: Anchor) -> ClipPositionHypothesis | None:
    """Find the best position and time for an anchor among the clip's thumbnails."""
    candidate, key_s = anchor.candidate, anchor.key.at_s
    seen = np.abs(candidate.thumb_times - key_s) <= _STILL_SCENE_RANGE_S
    strip = candidate.thumbs[seen].reshape(int(seen.sum()), -1).astype(np.float32)
    size = (anchor.key.width_px, anchor.key.height_px)
    near = candidate.thumb_times[np.abs(candidate.thumb_times - key_s) <= _MOVING_CAMERA_RANGE_S]
    best: ClipPositionHypothesis | None = None
    tried: list[Homography] = []
    for homography in homographies_over_time(anchor.homography, key_s, near, candidate, size):
        if any(np.allclose(homography, one, atol=0.01) for one in tried):
            continue  # nearly the same homography was tried before
        tried.append(homography)
        strips = _build_frame_rows(
            sampled,
            homography,
            size,
            candidate.thumbs.shape[1:],
            (strip, candidate.thumb_times[seen]),
        )
        if not covers_enough(strips.covered):
            continue
        timing = strips.best_timing_anywhere()
        if best is None or timing.likeness > best.timing.likeness:
            best = ClipPositionHypothesis(anchor, homography, timing)
    return best


def _register_probe(
    sampled: list[Frame],
    probe: _ProbeFrame,
    hypothesis: ClipPositionHypothesis,
    device: Device,
    lost: MissingFiles,
) -> ClipAlignment | None:
    """Find the exact frame that the probe shows, and register the probe to it."""
    timing, candidate = hypothesis.timing, hypothesis.anchor.candidate
    start_s = timing.start_s + timing.speed * sampled[0].at_s - _DECODED_MARGIN_S
    stop_s = timing.start_s + timing.speed * sampled[-1].at_s + _DECODED_MARGIN_S
    sent = candidate.decode_original_frames(start_s, stop_s, device, lost)
    if not sent:
        return None
    strip = thumbnail_rows([np.asarray(frame) for frame in sent])
    size = (sent[0].width_px, sent[0].height_px)
    key = (hypothesis.anchor.key.width_px, hypothesis.anchor.key.height_px)
    rough = hypothesis.homography @ resizing(size, key)
    shape = shrink_for_timing(np.asarray(sent[0])).shape
    timing = _build_frame_rows(
        sampled, rough, size, shape, (strip, _frame_times(sent))
    ).refine_timing(timing)
    registration = None
    for _ in range(_REGISTRATION_ROUNDS_MAX):
        shown = sent[_index_of_shown_frame(sent, timing, probe.frame)]
        registration = register(probe.features, luma_to_rgb(np.asarray(shown)), thorough=False)
        if registration is None:
            return None
        homographies = _nearby_frames_with_homographies(
            registration.homography, shown, sent, candidate
        )
        timing = _best_timing(sampled, probe.frame, homographies, (sent, strip), timing)
        if sent[_index_of_shown_frame(sent, timing, probe.frame)] is shown:
            break
    return None if registration is None else ClipAlignment(candidate, registration, timing, sent)


def _nearby_frames_with_homographies(
    homography: Homography, shown_frame: Frame, sent: list[Frame], candidate: ClipCandidate
) -> list[tuple[Frame, Homography]]:
    near = [frame for frame in sent if abs(frame.at_s - shown_frame.at_s) <= _NEARBY_FRAMES_S]
    size = (shown_frame.width_px, shown_frame.height_px)
    homographies = homographies_over_time(
        homography, shown_frame.at_s, _frame_times(near), candidate, size
    )
    return list(zip(near, homographies, strict=True))


def _best_timing(
    sampled: list[Frame],
    probe: Frame,
    homographies: list[tuple[Frame, Homography]],
    all_sent: tuple[list[Frame], NDArray[np.float32]],
    near: Timing,
) -> Timing:
    """Return the best time mapping under which the probe shows one of the frames given.

    ``homographies`` has these frames, each with the homography if the probe shows it.

    Only time mappings near ``near`` are tried.
    """
    sent, strip = all_sent
    size, shape = (
        (sent[0].width_px, sent[0].height_px),
        shrink_for_timing(np.asarray(sent[0])).shape,
    )
    timings = [
        _build_frame_rows(
            sampled, homography, size, shape, (strip, _frame_times(sent))
        ).best_timing_through(near, probe.at_s, frame.at_s)
        for frame, homography in homographies
    ]
    return max(timings, key=lambda timing: timing.likeness)


def _build_frame_rows(
    sampled: list[Frame],
    homography: Homography,
    size: tuple[int, int],
    shape: tuple[int, ...],
    sent: tuple[NDArray[np.float32], NDArray[np.float64]],
) -> FrameRows:
    rows = [
        warp_to_thumbnail(np.asarray(frame), homography, size, (shape[0], shape[1]))
        for frame in sampled
    ]
    found = np.stack([row for row, _ in rows])
    return FrameRows(found, _frame_times(sampled), sent[0], sent[1], rows[0][1])


def _index_of_shown_frame(sent: list[Frame], timing: Timing, probe: Frame) -> int:
    wanted = np.array([timing.start_s + timing.speed * probe.at_s])
    return int(nearest_indices(_frame_times(sent), wanted)[0])


def _sample_frames(found: list[Frame]) -> list[Frame]:
    """Return up to a dozen frames that are spread evenly over the found clip."""
    indices = np.unique(np.linspace(0, len(found) - 1, _SAMPLED_FRAMES_MAX).round().astype(int))
    return [found[int(index)] for index in indices]


def _frame_times(frames: list[Frame]) -> NDArray[np.float64]:
    return np.array([frame.at_s for frame in frames], np.float64)


Grey = NDArray[np.uint8]
# working_luma scales the mask (0 to 255) like luma, from limited to full range. Fully covered
# pixels, with values from 254 up, end up above this threshold.
_FULLY_COVERED_LUMA_MIN: Final = 275.0


FramePairs = Sequence[tuple[Grey, Frame]]
"""Found luma planes (limited range), each with the sent frame that it shows."""


def clip_verdicts(
    pairs: FramePairs, registration: Registration, candidate: ClipCandidate, compared: int
) -> list[MessageVerdict]:
    """Return a verdict on the copies of each message that this clip was sent in.

    Each message is evaluated with its own dither and with the camera motion stored for it. Messages
    for which the same motion is stored (``survey_sha256``) share one pass over the frames. Every
    copy is scored once; ``compared`` is the number of all copies.
    """
    detectors, verdicts = dict[bytes, FrameEvidenceAccumulator](), list[MessageVerdict]()
    for one in (candidate, *candidate.others):
        if one.survey_sha256 not in detectors:
            detectors[one.survey_sha256] = _accumulate_evidence(pairs, registration, one)
        evidence = _combined_evidence(detectors[one.survey_sha256], one)
        verdict = (
            NO_EVIDENCE_VERDICT if evidence is None else _clip_verdict(evidence, one, compared)
        )
        verdicts.append(
            MessageVerdict(
                one.message.name, verdict, _describe_registration(registration, one.clip)
            )
        )
    return verdicts


def _accumulate_evidence(
    pairs: FramePairs, registration: Registration, candidate: ClipCandidate
) -> FrameEvidenceAccumulator:
    """Accumulate the evidence of all pairs of frames.

    The evidence depends on the message only through its camera motion, so messages with equal
    motion can share the result.
    """
    detector = FrameEvidenceAccumulator(candidate.layout)
    for found, sent in pairs:
        aligned, covered = warp_to_sent(luma_to_rgb(found), registration)
        detector.add_frame(
            working_luma(np.ascontiguousarray(aligned[:, :, 0]), candidate.layout),
            working_luma(covered.astype(np.uint8) * np.uint8(255), candidate.layout)
            > _FULLY_COVERED_LUMA_MIN,
            working_luma(np.asarray(sent), candidate.layout),
            {
                node: (
                    share,
                    candidate.camera.motion_between(node, sent.at_s, candidate.layout.working_size),
                )
                for node, share in nodes_at(sent.at_s)
            },
        )
    return detector


def _combined_evidence(
    detector: FrameEvidenceAccumulator, candidate: ClipCandidate
) -> ClipEvidence | None:
    """Combine the evidence, weighted by how clearly the message's pilot is detected.

    The pilot is a known pattern in all copies of a message, so this uses no copy's key.

    Returns: None when there is no evidence at all.
    """
    size = node_key_stream_bytes(candidate.layout)
    pilots = {
        node: derive_key_stream(
            candidate.clip.dither, PILOT_KEY_CONTEXT + node.to_bytes(4, "big"), size
        )
        for node in detector.planes
    }
    evidence = combine_frame_evidence(detector, pilots)
    return evidence if evidence.strength > 0.0 else None


def _clip_verdict(evidence: ClipEvidence, candidate: ClipCandidate, compared: int) -> Verdict:
    """Return the verdict on a clip's copies; chances are corrected for ``compared`` copies."""
    scores = _copy_scores(evidence, candidate.clip, node_key_stream_bytes(candidate.layout))
    return name_by_scores(values_by_label(candidate.clip.copies, scores), compared=compared)


def _copy_scores(evidence: ClipEvidence, clip: SentClip, size: int) -> list[float]:
    """Return one score per copy; the unit is the standard deviation of an innocent copy's score."""
    scores = []
    for copy in clip.copies:
        agreement = (
            evidence.agreement(
                node,
                derive_key_stream(copy.seed, CLIP_MARK_KEY_CONTEXT + node.to_bytes(4, "big"), size),
            )
            for node in evidence.per_chip
        )
        scores.append(sum(agreement) / evidence.strength)
    return scores


def _describe_registration(registration: Registration, clip: SentClip) -> PictureWarp:
    """Describe the registration by crop, size and rotation, at the size of the sent clip."""
    size = (clip.width_px, clip.height_px)
    whole = registration.homography @ resizing(size, registration.sent_size)
    return replace(describe_warp(whole, size, registration.found_size), kept=registration.warp.kept)


# length of the part that is taken from the middle of the found clip
_EXCERPT_LENGTH_S: Final = 8.0
_EXCERPT_FRAMES_MAX: Final = 32
# Frames with a longer side than this are scaled down, because no mark has finer detail.
_FOUND_SIDE_PX_MAX: Final = 1280
_PROBE_POSITIONS: Final = (0.5, 0.2, 0.8)


def trace_clip(untrusted_data: bytes, device: Device) -> Trace:
    """Trace a found clip; the result is not recorded.

    Raises:
        NothingToWeigh: this device sent no clip.
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, DamagedClip.
    """
    found, length_s = _middle_frames(untrusted_data, device)
    lost = MissingFiles()
    aligned = _align_with_sent_clips(found, device, lost)
    compared = count_all_sent_copies(device)
    verdicts = [] if aligned is None else _verdicts_of_alignment(found, aligned, compared)
    span = None if aligned is None else _matched_span(aligned, length_s)
    return build_trace(verdicts, untrusted_data, device, compared=compared, lost=lost, span=span)


def _middle_frames(untrusted_data: bytes, device: Device) -> tuple[list[Frame], float]:
    """Return decoded frames from the middle of a found clip, and the clip's whole length.

    If the middle has no frames, they are from the start.
    """
    with device.read_clip(untrusted_data, FrameSelection(stop_s=0.0)) as clip:
        length_s = clip.shown.length_s
    start_s = max(0.0, 0.5 * (length_s - _EXCERPT_LENGTH_S))
    cut = FrameSelection(start_s, start_s + _EXCERPT_LENGTH_S, side_px=_FOUND_SIDE_PX_MAX)
    with device.read_clip(untrusted_data, cut) as clip:
        found = list(clip.frames)
    if not found:
        # one frame is shown for a long time, or the sound is much longer than the pictures
        cut = replace(cut, start_s=0.0, stop_s=_EXCERPT_LENGTH_S)
        with device.read_clip(untrusted_data, cut) as clip:
            found = list(clip.frames)
    if not found:
        raise NoVideoFound
    return found, max(length_s, found[-1].at_s)


def _align_with_sent_clips(
    found: list[Frame], device: Device, lost: MissingFiles
) -> ClipAlignment | None:
    candidates = clip_candidates(device, lost)
    if not candidates and not lost.messages:
        raise NothingToWeigh
    probes = [found[int(share * (len(found) - 1))] for share in _PROBE_POSITIONS]
    likely = find_anchors([np.asarray(probe) for probe in probes], candidates)
    return align_clip(found, probes, likely, device, lost)


def _verdicts_of_alignment(
    found: list[Frame], aligned: ClipAlignment, compared: int
) -> list[MessageVerdict]:
    indices = np.unique(np.linspace(0, len(found) - 1, _EXCERPT_FRAMES_MAX).round().astype(int))
    pairs: FramePairs = [
        (np.asarray(found[int(index)]), aligned.sent_frame_at(found[int(index)].at_s))
        for index in indices
    ]
    return clip_verdicts(pairs, aligned.registration, aligned.candidate, compared)


def _matched_span(aligned: ClipAlignment, length_s: float) -> MatchedSpan:
    """Return the part of the sent clip that a found clip of this length covers."""
    timing = aligned.timing
    start_s = max(0.0, timing.start_s)
    stop_s = min(aligned.candidate.clip.length_s, timing.start_s + timing.speed * length_s)
    return MatchedSpan(start_s, max(0.0, stop_s - start_s), timing.speed)
