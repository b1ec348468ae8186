"""Whose copy is this sound? From a found recording to a verdict (docs/spec/sound.md).

The found sound is laid on each sent one that it might be; only then are the keys of that sound's
copies asked for.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.craft.crypto.derive import stream
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.sound.contour import read_contour
from entrenous.craft.sound.hear import FoundSound, HeardSound, found_sound, hear_at
from entrenous.craft.sound.listen import scores
from entrenous.craft.sound.locate import Place, locate
from entrenous.craft.sound.prepare import prepare
from entrenous.craft.weigh.verdict import weigh
from entrenous.model.message import Message, SentSound
from entrenous.model.verdict import Finding, NothingToWeigh, Span, Trace, Verdict
from entrenous.ports import Device
from entrenous.spec import SOUND_CONTEXT
from entrenous.trace.number import next_number
from entrenous.trace.photo.labels import by_label
from entrenous.trace.reel.sought import everybody

_TRIED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sent sound, and where the found one may lie on it."""

    message: Message
    sent: SentSound
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A sent sound that the found one lies on, and what its copies' marks say."""

    message: Message
    span: Span
    verdict: Verdict


def trace_sound(untrusted_data: bytes, device: Device) -> Trace:
    """Say which copy a found sound is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy of a sound on this device to compare with.
        NotASound, SoundTooLong, SoundBroken.
    """
    trace = listen_to_sound(untrusted_data, device)
    device.ledger.note(trace)
    return trace


def listen_to_sound(untrusted_data: bytes, device: Device) -> Trace:
    """As :func:`trace_sound`, and the answer is not kept."""
    sound = device.read_sound(untrusted_data)
    found = found_sound(np.asarray(sound), sound.rate_hz)
    compared = everybody(device)
    fit = _best_fit(found, _candidates(found, device), compared, device)
    return Trace(
        number=next_number(device),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=Verdict(Finding.NOBODY, (), {}, {}) if fit is None else fit.verdict,
        message=None if fit is None else fit.message.name,
        span=None if fit is None else fit.span,
        compared=compared,
    )


def _candidates(found: FoundSound, device: Device) -> list[_Candidate]:
    """The sent sounds whose contours fit best, the best first."""
    all_of_them = [
        _Candidate(message, sent, locate(found.contour, read_contour(kept)))
        for message in device.ledger.messages()
        for sent in message.sounds
        if sent.copies and (kept := device.vault.kept(sent.contour))
    ]
    if not all_of_them:
        raise NothingToWeigh
    best = sorted(all_of_them, key=lambda candidate: candidate.places[0].fit, reverse=True)
    return best[:_TRIED_MAX]


def _best_fit(
    found: FoundSound, candidates: list[_Candidate], compared: int, device: Device
) -> _Fit | None:
    """The first candidate of which a copy is named; else the first on which the leak lies at
    all.
    """
    first: _Fit | None = None
    for candidate in candidates:
        fit = _fit(found, candidate, compared, device)
        if fit is not None and fit.verdict.finding is not Finding.NOBODY:
            return fit
        first = first or fit
    return first


def _fit(found: FoundSound, candidate: _Candidate, compared: int, device: Device) -> _Fit | None:
    sent = candidate.sent
    original = device.read_sound(device.vault.kept(sent.original))
    prepared = prepare(np.asarray(original), original.rate_hz)
    heard = hear_at(found, prepared, candidate.places)
    if heard is None:
        return None
    verdict = weigh(by_label(sent.copies, _scores(heard, sent)), compared=compared)
    return _Fit(candidate.message, heard.span, verdict)


def _scores(heard: HeardSound, sent: SentSound) -> list[float]:
    size = -(-heard.evidence.size // 8)
    streams = (stream(copy.seed, SOUND_CONTEXT, size) for copy in sent.copies)
    return [float(score) for score in scores(heard.evidence, streams)]
