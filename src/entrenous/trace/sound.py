"""Trace a sound: from a found recording to a verdict (docs/spec/sound.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.base.limits import SOUND_CONTEXT
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import by_label
from entrenous.device.sent_messages import Message, SentSound
from entrenous.trace.clip_candidates import everybody
from entrenous.trace.outcome import MessageVerdict, MissingFiles, answer
from entrenous.watermark.audio_detector import FoundSound, HeardSound, found_sound, hear_at, scores
from entrenous.watermark.audio_location import Place, locate, read_contour
from entrenous.watermark.audio_mark import prepare
from entrenous.watermark.verdict import NothingToWeigh, Span, Trace, weigh

_TRIED_MAX: Final = 5  # distinct sounds; each may have been sent in any number of messages


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sent sound, and where the found one may lie on it."""

    message: Message
    sent: SentSound
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A sent sound that the found one lies on: which part it is, and what the copies say of each
    message that it was sent in.
    """

    span: Span
    said: tuple[MessageVerdict, ...]


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
    compared, lost = everybody(device), MissingFiles()
    likely = _by_original(_candidates(found, device, lost), device, lost)
    fit = _best_fit(found, likely, compared, device)
    said, span = ((), None) if fit is None else (fit.said, fit.span)
    return answer(said, untrusted_data, device, compared=compared, lost=lost, span=span)


def _candidates(found: FoundSound, device: Device, lost: MissingFiles) -> list[_Candidate]:
    """The sent sounds, those first whose contours fit best; equal contours are laid once."""
    places, candidates = dict[bytes, tuple[Place, ...]](), list[_Candidate]()
    for message in device.ledger.messages():
        for sent in message.sounds:
            contour = lost.kept(sent.contour, message, device) if sent.copies else None
            if not contour:
                continue
            if contour not in places:
                places[contour] = locate(found.contour, read_contour(contour))
            candidates.append(_Candidate(message, sent, places[contour]))
    if not candidates and not lost.messages:
        raise NothingToWeigh
    return sorted(candidates, key=lambda candidate: candidate.places[0].fit, reverse=True)


def _by_original(
    candidates: Sequence[_Candidate], device: Device, lost: MissingFiles
) -> list[list[_Candidate]]:
    """The best-fitting distinct sounds, each with every message that it was sent in: these fit
    alike, so they stand beside one another.
    """
    same = dict[bytes, list[_Candidate]]()
    for candidate in candidates:
        source = lost.kept(candidate.sent.original, candidate.message, device)
        if source is None:
            continue
        key = sha256(source)
        if key not in same and len(same) == _TRIED_MAX:
            break
        same.setdefault(key, []).append(candidate)
    return list(same.values())


def _best_fit(
    found: FoundSound, likely: list[list[_Candidate]], compared: int, device: Device
) -> _Fit | None:
    """The first sound of which a copy is named; else the first on which the leak lies at all."""
    first: _Fit | None = None
    for same in likely:
        fit = _fit(found, same, compared, device)
        if fit is not None and any(one.verdict.named for one in fit.said):
            return fit
        first = first or fit
    return first


def _fit(
    found: FoundSound, same: Sequence[_Candidate], compared: int, device: Device
) -> _Fit | None:
    original = device.read_sound(device.vault.kept(same[0].sent.original))
    prepared = prepare(np.asarray(original), original.rate_hz)
    heard = hear_at(found, prepared, same[0].places)
    if heard is None:
        return None
    said = (_said(heard, one, compared) for one in same)
    return _Fit(heard.span, tuple(said))


def _said(heard: HeardSound, candidate: _Candidate, compared: int) -> MessageVerdict:
    copies = candidate.sent.copies
    verdict = weigh(by_label(copies, _scores(heard, candidate.sent)), compared=compared)
    return MessageVerdict(candidate.message.name, verdict)


def _scores(heard: HeardSound, sent: SentSound) -> list[float]:
    size = -(-heard.evidence.size // 8)
    streams = (stream(copy.seed, SOUND_CONTEXT, size) for copy in sent.copies)
    return [float(score) for score in scores(heard.evidence, streams)]
