"""Trace a clip: align it with a sent one, detect marks, and only then ask for keys
(docs/spec/clip.md).

The alignment says where in the frame, when in time, and how fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Cut, Frame, NoFrames
from entrenous.base.limits import CLIP_CONTEXT, PILOT_CONTEXT
from entrenous.crypto.key_derivation import stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import by_label
from entrenous.device.sent_messages import SentClip
from entrenous.trace.clip_candidates import Anchor, ClipCandidate, anchors, everybody, reels, rgb
from entrenous.trace.outcome import UNHEARD, MessageVerdict, MissingFiles, answer
from entrenous.watermark.alignment.clip_timing import (
    Moment,
    Strips,
    enough,
    laid_small,
    nearest,
    small,
    stacked,
)
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.resample import warp_to_sent
from entrenous.watermark.alignment.transforms import Homography, described, resizing
from entrenous.watermark.clip_mark import nodes_at, stream_bytes, working_luma
from entrenous.watermark.detector import CombinedEvidence, FrameDetector, combine_evidence
from entrenous.watermark.verdict import NothingToWeigh, Span, Trace, Verdict, Warp, weigh

_PROBES: Final = 12
_REACH_S: Final = 3.0  # from an anchor's key frame: as far a moving camera may have shifted it
_SIGHT_S: Final = 20.0  # from an anchor's key frame: as far a still scene is searched
_MARGIN_S: Final = 0.7
_NEAR_S: Final = 0.2
_ROUNDS: Final = 3
_CERTAIN: Final = 1.5  # of 2: no other anchor could lead to more
_LIKENESS_MIN: Final = 0.3  # of 2; strangers' clips stay below


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One idea of how found frames lie on a clip's frames, and of their moment."""

    anchor: Anchor
    homography: Homography
    moment: Moment


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """How a found clip lies on a sent one; ``sent`` are the frames around the part it shows.

    ``registration`` is from pixels of ``sent`` frames to those of the found ones.
    """

    reel: ClipCandidate
    registration: Registration
    moment: Moment
    sent: list[Frame]

    def shown_by(self, found_s: float) -> Frame:
        """The sent frame that the found one at this time shows."""
        wanted = np.array([self.moment.start_s + self.moment.speed * found_s])
        return self.sent[int(nearest(_times(self.sent), wanted)[0])]


def lay(
    found: list[Frame],
    probes: list[Frame],
    anchors: list[Anchor],
    device: Device,
    lost: MissingFiles,
) -> Laid | None:
    """Lay found frames over the clip of the likeliest anchor; None when they lie on none.

    Args:
        found: frames of the found clip, in the order of time.
        probes: those of them that anchors speak of.
        anchors: where they seem to belong.
        device: whose vault has the sent clips.
        lost: where those are noted that it does not give any more.
    """
    few = _spread(found)
    places: list[Place] = []
    for anchor in anchors:
        place = _roughly(few, anchor)
        places += [] if place is None else [place]
        if place is not None and place.moment.likeness >= _CERTAIN:
            break
    for place in sorted(places, key=lambda one: -one.moment.likeness):
        if place.moment.likeness < _LIKENESS_MIN:
            break
        laid = _finely(few, probes[place.anchor.probe], place, device, lost)
        if laid is not None:
            return laid
    return None


def excused(
    homography: Homography,
    at_s: float,
    times: NDArray[np.float64],
    reel: ClipCandidate,
    size: tuple[int, int],
) -> list[Homography]:
    """What a registration on the frame at ``at_s`` would be on the frames at other ``times``, if
    only the camera had moved in between. ``size`` is that of the sent frames it speaks of.
    """
    ways = [reel.camera.way(float(time), at_s, size) for time in times]
    return [homography @ np.vstack([way, [0.0, 0.0, 1.0]]) for way in ways]


def _roughly(few: list[Frame], anchor: Anchor) -> Place | None:
    """Among small frames: the best place and moment that this anchor leads to."""
    reel, key_s = anchor.reel, anchor.key.at_s
    seen = np.abs(reel.thumb_times - key_s) <= _SIGHT_S
    strip = reel.thumbs[seen].reshape(int(seen.sum()), -1).astype(np.float32)
    size = (anchor.key.width_px, anchor.key.height_px)
    near = reel.thumb_times[np.abs(reel.thumb_times - key_s) <= _REACH_S]
    best: Place | None = None
    tried: list[Homography] = []
    for homography in excused(anchor.homography, key_s, near, reel, size):
        if any(np.allclose(homography, one, atol=0.01) for one in tried):
            continue  # the camera stood still
        tried.append(homography)
        strips = _strips(
            few, homography, size, reel.thumbs.shape[1:], (strip, reel.thumb_times[seen])
        )
        if not enough(strips.covered):
            continue
        moment = strips.anywhere()
        if best is None or moment.likeness > best.moment.likeness:
            best = Place(anchor, homography, moment)
    return best


def _finely(
    few: list[Frame], probe: Frame, place: Place, device: Device, lost: MissingFiles
) -> Laid | None:
    """Among all frames: the very one that the probe shows, registered in full."""
    moment, reel = place.moment, place.anchor.reel
    start_s = moment.start_s + moment.speed * few[0].at_s - _MARGIN_S
    stop_s = moment.start_s + moment.speed * few[-1].at_s + _MARGIN_S
    sent = reel.frames(start_s, stop_s, device, lost)
    if not sent:
        return None
    strip = stacked([np.asarray(frame) for frame in sent])
    size = (sent[0].width_px, sent[0].height_px)
    key = (place.anchor.key.width_px, place.anchor.key.height_px)
    rough = place.homography @ resizing(size, key)
    shape = small(np.asarray(sent[0])).shape
    moment = _strips(few, rough, size, shape, (strip, _times(sent))).refined(moment)
    registration = None
    for _ in range(_ROUNDS):
        shown = sent[_place(sent, moment, probe)]
        registration = register(rgb(np.asarray(probe)), rgb(np.asarray(shown)), thorough=False)
        if registration is None:
            return None
        ways = _around(registration.homography, shown, sent, reel)
        moment = _likeliest(few, probe, ways, (sent, strip), moment)
        if sent[_place(sent, moment, probe)] is shown:
            break
    return None if registration is None else Laid(reel, registration, moment, sent)


def _around(
    homography: Homography, shown: Frame, sent: list[Frame], reel: ClipCandidate
) -> list[tuple[Frame, Homography]]:
    near = [frame for frame in sent if abs(frame.at_s - shown.at_s) <= _NEAR_S]
    size = (shown.width_px, shown.height_px)
    ways = excused(homography, shown.at_s, _times(near), reel, size)
    return list(zip(near, ways, strict=True))


def _likeliest(
    few: list[Frame],
    probe: Frame,
    ways: list[tuple[Frame, Homography]],
    all_sent: tuple[list[Frame], NDArray[np.float32]],
    near: Moment,
) -> Moment:
    """The moment near this one at which the probe shows one of these frames."""
    sent, strip = all_sent
    size, shape = (sent[0].width_px, sent[0].height_px), small(np.asarray(sent[0])).shape
    moments = [
        _strips(few, homography, size, shape, (strip, _times(sent))).pinned(
            near, probe.at_s, frame.at_s
        )
        for frame, homography in ways
    ]
    return max(moments, key=lambda moment: moment.likeness)


def _strips(
    few: list[Frame],
    homography: Homography,
    size: tuple[int, int],
    shape: tuple[int, ...],
    sent: tuple[NDArray[np.float32], NDArray[np.float64]],
) -> Strips:
    rows = [laid_small(np.asarray(frame), homography, size, (shape[0], shape[1])) for frame in few]
    found = np.stack([row for row, _ in rows])
    return Strips(found, _times(few), sent[0], sent[1], rows[0][1])


def _place(sent: list[Frame], moment: Moment, probe: Frame) -> int:
    wanted = np.array([moment.start_s + moment.speed * probe.at_s])
    return int(nearest(_times(sent), wanted)[0])


def _spread(found: list[Frame]) -> list[Frame]:
    """A dozen frames over the whole length."""
    places = np.unique(np.linspace(0, len(found) - 1, _PROBES).round().astype(int))
    return [found[int(place)] for place in places]


def _times(frames: list[Frame]) -> NDArray[np.float64]:
    return np.array([frame.at_s for frame in frames], np.float64)


Grey = NDArray[np.uint8]
_ALL: Final = 275.0  # what working_luma makes of 254 and more: covered in full


Pairs = Sequence[tuple[Grey, Frame]]
"""Found luma planes, in narrow range, and the sent frame that each shows."""


def said(
    pairs: Pairs, registration: Registration, reel: ClipCandidate, compared: int
) -> list[MessageVerdict]:
    """What the copies say of each message that this clip was sent in.

    Each is listened for with its own dither and in its own motion; where that was measured to be
    the same, frames are gathered once. Every copy is scored once, so ``compared``, which counts
    everybody, counts them all.
    """
    ears, heard = dict[bytes, FrameDetector](), list[MessageVerdict]()
    for one in (reel, *reel.again):
        if one.survey_sha256 not in ears:
            ears[one.survey_sha256] = _gathered(pairs, registration, one)
        evidence = _evidence(ears[one.survey_sha256], one)
        verdict = UNHEARD if evidence is None else _verdict(evidence, one, compared)
        heard.append(MessageVerdict(one.message.name, verdict, _warp(registration, one.clip)))
    return heard


def _gathered(pairs: Pairs, registration: Registration, reel: ClipCandidate) -> FrameDetector:
    """The evidence of all pairs; nothing of any message is known but how the camera moved."""
    ear = FrameDetector(reel.stage)
    for found, sent in pairs:
        laid, covered = warp_to_sent(rgb(found), registration)
        ear.take(
            working_luma(np.ascontiguousarray(laid[:, :, 0]), reel.stage),
            working_luma(covered.astype(np.uint8) * np.uint8(255), reel.stage) > _ALL,
            working_luma(np.asarray(sent), reel.stage),
            {
                node: (share, reel.camera.way(node, sent.at_s, reel.stage.size))
                for node, share in nodes_at(sent.at_s)
            },
        )
    return ear


def _evidence(ear: FrameDetector, reel: ClipCandidate) -> CombinedEvidence | None:
    """Weighed by the message's pilot, which every copy carries; no copy's key is known. None when
    there is no evidence at all.
    """
    size = stream_bytes(reel.stage)
    pilots = {
        node: stream(reel.clip.dither, PILOT_CONTEXT + node.to_bytes(4, "big"), size)
        for node in ear.planes
    }
    heard = combine_evidence(ear, pilots)
    return heard if heard.strength > 0.0 else None


def _verdict(heard: CombinedEvidence, reel: ClipCandidate, compared: int) -> Verdict:
    """Score every copy of the clip; ``compared`` counts everybody the finding is corrected for."""
    measured = _scores(heard, reel.clip, stream_bytes(reel.stage))
    return weigh(by_label(reel.clip.copies, measured), compared=compared)


def _scores(heard: CombinedEvidence, clip: SentClip, size: int) -> list[float]:
    """One score per copy, in standard deviations of an innocent copy's score."""
    measured = []
    for copy in clip.copies:
        said = (
            heard.said(node, stream(copy.seed, CLIP_CONTEXT + node.to_bytes(4, "big"), size))
            for node in heard.per_chip
        )
        measured.append(sum(said) / heard.strength)
    return measured


def _warp(registration: Registration, clip: SentClip) -> Warp:
    """How the found frames lie on the sent ones, at the size they were sent in."""
    size = (clip.width_px, clip.height_px)
    whole = registration.homography @ resizing(size, registration.sent_size)
    return replace(described(whole, size, registration.found_size), kept=registration.warp.kept)


_HEARD_S: Final = 8.0  # of the found clip, from its middle: more is not needed
_HEARD_FRAMES: Final = 32
_SIDE_PX: Final = 1280  # larger found frames are reduced: no mark is that fine
_PROBES_AT: Final = (0.5, 0.2, 0.8)


def trace_clip(untrusted_data: bytes, device: Device) -> Trace:
    """Say which copy a found clip is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy of a clip on this device to compare with.
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken.
    """
    trace = look_at_clip(untrusted_data, device)
    device.ledger.note(trace)
    return trace


def look_at_clip(untrusted_data: bytes, device: Device) -> Trace:
    """As :func:`trace_clip`, and the answer is not kept."""
    found, length_s = _excerpt(untrusted_data, device)
    lost = MissingFiles()
    laid = _laid(found, device, lost)
    compared = everybody(device)
    heard = [] if laid is None else _said(found, laid, compared)
    span = None if laid is None else _span(laid, length_s)
    return answer(heard, untrusted_data, device, compared=compared, lost=lost, span=span)


def _excerpt(untrusted_data: bytes, device: Device) -> tuple[list[Frame], float]:
    """Frames from the middle of a found clip, and the length of the whole."""
    with device.read_clip(untrusted_data, Cut(stop_s=0.0)) as clip:
        length_s = clip.shown.length_s
    start_s = max(0.0, 0.5 * (length_s - _HEARD_S))
    cut = Cut(start_s, start_s + _HEARD_S, side_px=_SIDE_PX)
    with device.read_clip(untrusted_data, cut) as clip:
        found = list(clip.frames)
    if not found:
        raise NoFrames
    return found, max(length_s, found[-1].at_s)


def _laid(found: list[Frame], device: Device, lost: MissingFiles) -> Laid | None:
    candidates = reels(device, lost)
    if not candidates and not lost.messages:
        raise NothingToWeigh
    probes = [found[int(share * (len(found) - 1))] for share in _PROBES_AT]
    likely = anchors([np.asarray(probe) for probe in probes], candidates)
    return lay(found, probes, likely, device, lost)


def _said(found: list[Frame], laid: Laid, compared: int) -> list[MessageVerdict]:
    places = np.unique(np.linspace(0, len(found) - 1, _HEARD_FRAMES).round().astype(int))
    pairs: Pairs = [
        (np.asarray(found[int(place)]), laid.shown_by(found[int(place)].at_s)) for place in places
    ]
    return said(pairs, laid.registration, laid.reel, compared)


def _span(laid: Laid, length_s: float) -> Span:
    speed = laid.moment.speed
    start_s = max(0.0, laid.moment.start_s)
    return Span(start_s, max(0.0, length_s * speed), speed)
