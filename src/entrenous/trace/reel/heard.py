"""Listen to found frames, and only then ask for the keys of the copies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import described, resizing
from entrenous.craft.align.lay import lay_over
from entrenous.craft.align.register import Registration
from entrenous.craft.crypto.derive import stream
from entrenous.craft.mark.reel.hear import Choir, Ear, choir
from entrenous.craft.mark.reel.motion import nodes_at, stream_bytes, working_luma
from entrenous.craft.weigh.verdict import weigh
from entrenous.model.clip import Frame
from entrenous.model.message import SentClip
from entrenous.model.verdict import Verdict, Warp
from entrenous.spec import CLIP_CONTEXT, PILOT_CONTEXT
from entrenous.trace.answer import UNHEARD, Said
from entrenous.trace.photo.labels import by_label
from entrenous.trace.reel.sought import Reel, rgb

Grey = NDArray[np.uint8]

_ALL: Final = 275.0  # what working_luma makes of 254 and more: covered in full


Pairs = Sequence[tuple[Grey, Frame]]
"""Found luma planes, in narrow range, and the sent frame that each shows."""


def said(pairs: Pairs, registration: Registration, reel: Reel, compared: int) -> list[Said]:
    """What the copies say of each message that this clip was sent in.

    Each is listened for with its own dither and in its own motion; where that was measured to be
    the same, frames are gathered once. Every copy is scored once, so ``compared``, which counts
    everybody, counts them all.
    """
    ears, heard = dict[bytes, Ear](), list[Said]()
    for one in (reel, *reel.again):
        if one.survey_sha256 not in ears:
            ears[one.survey_sha256] = _gathered(pairs, registration, one)
        evidence = _evidence(ears[one.survey_sha256], one)
        verdict = UNHEARD if evidence is None else _verdict(evidence, one, compared)
        heard.append(Said(one.message.name, verdict, _warp(registration, one.clip)))
    return heard


def _gathered(pairs: Pairs, registration: Registration, reel: Reel) -> Ear:
    """The evidence of all pairs; nothing of any message is known but how the camera moved."""
    ear = Ear(reel.stage)
    for found, sent in pairs:
        laid, covered = lay_over(rgb(found), registration)
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


def _evidence(ear: Ear, reel: Reel) -> Choir | None:
    """Weighed by the message's pilot, which every copy carries; no copy's key is known. None when
    there is no evidence at all.
    """
    size = stream_bytes(reel.stage)
    pilots = {
        node: stream(reel.clip.dither, PILOT_CONTEXT + node.to_bytes(4, "big"), size)
        for node in ear.planes
    }
    heard = choir(ear, pilots)
    return heard if heard.strength > 0.0 else None


def _verdict(heard: Choir, reel: Reel, compared: int) -> Verdict:
    """Score every copy of the clip; ``compared`` counts everybody the finding is corrected for."""
    measured = _scores(heard, reel.clip, stream_bytes(reel.stage))
    return weigh(by_label(reel.clip.copies, measured), compared=compared)


def _scores(heard: Choir, clip: SentClip, size: int) -> list[float]:
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
