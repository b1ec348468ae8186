"""Find out whose copy a found recording is (docs/spec/sound.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.base.limits import SOUND_MARK_KEY_CONTEXT
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_copies import values_by_label
from entrenous.device.sent_messages import Message, SentSound
from entrenous.trace.outcome import MessageVerdict, MissingFiles, build_trace, count_all_sent_copies
from entrenous.watermark.audio_detector import (
    FoundSound,
    SoundEvidence,
    detect_mark_at_best_place,
    key_scores,
    prepare_found_sound,
)
from entrenous.watermark.audio_location import SoundPlace, locate_sound, read_contour
from entrenous.watermark.audio_mark import prepare_sound
from entrenous.watermark.verdict import MatchedSpan, NothingToWeigh, Trace, name_by_scores

# A sound of which no copy is named counts as found only if its contours fit at least this well.
# Copies fitted by 0.86 to 0.98 after codecs, changes of speed, rooms and noise, and by 0.57 and
# 0.65 after splicing; unrelated voices by at most 0.37 from 5 s on, and by at most 0.60 at 2 s.
_RECOGNISED_FIT_MIN: Final = 0.7
_SOUNDS_TRIED_MAX: Final = 5  # distinct sounds, each of which may be in any number of messages


@dataclass(frozen=True, slots=True)
class _SoundCandidate:
    """A sent sound, and the offsets at which the found sound may match it."""

    message: Message
    sent: SentSound
    places: tuple[SoundPlace, ...]


@dataclass(frozen=True, slots=True)
class _SoundFit:
    """The part of a sent sound that was found, and a verdict for each message with this sound."""

    span: MatchedSpan
    verdicts: tuple[MessageVerdict, ...]


def trace_sound(untrusted_data: bytes, device: Device) -> Trace:
    """Trace a found sound; the result is not recorded.

    Raises:
        NothingToWeigh: this device sent no sound.
        NoSoundFound, SoundTooLong, DamagedSound.
    """
    sound = device.read_sound(untrusted_data)
    found = prepare_found_sound(np.asarray(sound), sound.rate_hz)
    compared, lost = count_all_sent_copies(device), MissingFiles()
    likely = _group_best_by_original(_find_candidates(found, device, lost), device, lost)
    fit = _best_fit(found, likely, compared, device)
    verdicts, span = ((), None) if fit is None else (fit.verdicts, fit.span)
    return build_trace(verdicts, untrusted_data, device, compared=compared, lost=lost, span=span)


def _find_candidates(
    found: FoundSound, device: Device, lost: MissingFiles
) -> list[_SoundCandidate]:
    """Return the sent sounds, those with the best-matching loudness contours first.

    Equal contours are matched only once.
    """
    places, candidates = dict[bytes, tuple[SoundPlace, ...]](), list[_SoundCandidate]()
    for message in device.ledger.messages():
        for sent in message.sounds:
            contour = (
                lost.read_or_record_missing(sent.contour, message, device) if sent.copies else None
            )
            if not contour:
                continue
            if contour not in places:
                places[contour] = locate_sound(found.contour, read_contour(contour))
            candidates.append(_SoundCandidate(message, sent, places[contour]))
    if not candidates and not lost.messages:
        raise NothingToWeigh
    return sorted(candidates, key=lambda candidate: candidate.places[0].fit, reverse=True)


def _group_best_by_original(
    candidates: Sequence[_SoundCandidate], device: Device, lost: MissingFiles
) -> list[list[_SoundCandidate]]:
    """Group the best candidates by their original; return at most ``_SOUNDS_TRIED_MAX`` groups.

    Candidates with the same original match equally well, so they are adjacent.
    """
    candidates_of_one = dict[bytes, list[_SoundCandidate]]()
    for candidate in candidates:
        source = lost.read_or_record_missing(candidate.sent.original, candidate.message, device)
        if source is None:
            continue
        key = sha256(source)
        if key not in candidates_of_one and len(candidates_of_one) == _SOUNDS_TRIED_MAX:
            break
        candidates_of_one.setdefault(key, []).append(candidate)
    return list(candidates_of_one.values())


def _best_fit(
    found: FoundSound, likely: list[list[_SoundCandidate]], compared: int, device: Device
) -> _SoundFit | None:
    """Return the first sound with a named copy, or else the first one that the leak clearly shows.

    Returns: None if there is neither. Something can be aligned with nearly every sound.
    """
    first: _SoundFit | None = None
    for candidates_of_one in likely:
        fit = _fit_candidates(found, candidates_of_one, compared, device)
        if fit is not None and any(one.verdict.named for one in fit.verdicts):
            return fit
        if candidates_of_one[0].places[0].fit >= _RECOGNISED_FIT_MIN:
            first = first or fit
    return first


def _fit_candidates(
    found: FoundSound, candidates_of_one: Sequence[_SoundCandidate], compared: int, device: Device
) -> _SoundFit | None:
    original = device.read_sound(device.vault.read_stored_file(candidates_of_one[0].sent.original))
    prepared = prepare_sound(np.asarray(original), original.rate_hz)
    detected = detect_mark_at_best_place(found, prepared, candidates_of_one[0].places)
    if detected is None:
        return None
    verdicts = (_sound_verdict(detected, one, compared) for one in candidates_of_one)
    return _SoundFit(detected.span, tuple(verdicts))


def _sound_verdict(
    detected: SoundEvidence, candidate: _SoundCandidate, compared: int
) -> MessageVerdict:
    copies = candidate.sent.copies
    verdict = name_by_scores(
        values_by_label(copies, _copy_scores(detected, candidate.sent)), compared=compared
    )
    return MessageVerdict(candidate.message.name, verdict)


def _copy_scores(detected: SoundEvidence, sent: SentSound) -> list[float]:
    size = -(-detected.evidence.size // 8)
    streams = (derive_key_stream(copy.seed, SOUND_MARK_KEY_CONTEXT, size) for copy in sent.copies)
    return [float(score) for score in key_scores(detected.evidence, streams)]
