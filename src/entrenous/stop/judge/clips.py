"""Scan an uploaded clip or sound: its frames, its sound, and the registrations that match."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from entrenous.base.audio_video import (
    Clip,
    ClipBroken,
    ClipTooLong,
    Frame,
    FramesUnknown,
    NoFrames,
    NotASound,
)
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import FRAMES_KEPT_MAX
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.nouns import (
    LAST_MS,
    LOOK_FRAMES_MAX,
    SOUND_WORDS_MAX,
    Alike,
    HeardAs,
    Near,
    SoundPrint,
    VideoLook,
)
from entrenous.fingerprint.pdq import UPRIGHT
from entrenous.fingerprint.sound_index import AS_IT_IS, is_too_quiet, sound_look
from entrenous.fingerprint.video_hash import LOOKED_AT, NEIGHBOUR_BITS, NO_BARS, apart, video_look
from entrenous.stop.judge.clip_matches import Place, sound_hits, trimmed_hits, video_hits
from entrenous.stop.judge.weigh import Hit
from entrenous.stop.nouns import RELEASED, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim

LOOK_S_MAX: Final = timedelta(seconds=120)  # of the gate's clock, for one clip
_AT_ONCE: Final = 1000  # look-ups, so that a long clip needs no more memory than a short one
_SLACK_S: Final = 1.0  # between what a file announces and its last frame
_NOTHING: Final = VideoLook((), ())
Places = dict[int, list[Place]]


@dataclass(frozen=True, slots=True)
class ScannedClip:
    """An upload as it is compared: its frames, and how it sounds; either may be missing."""

    look: VideoLook = _NOTHING
    heard: tuple[HeardAs, ...] = ()


def scan_clip(untrusted_data: bytes, platform: Platform) -> ScannedClip:
    """Decode a stranger's clip or sound, frame by frame.

    Raises:
        NotASound: there is nothing to see and nothing to hear in it; refuse it as such.
        FramesTooLarge: likewise.
        ClipCutShort, ClipBroken, ClipTooLong, FramesUnknown, SoundBroken, SoundTooLong: it could
            not be seen or heard to its end.
        DecoderDidNotStart: there is no child to ask.
    """
    try:
        look = _looked(untrusted_data, platform)
    except FramesUnknown:
        raise
    except NoFrames:
        return ScannedClip(heard=_heard(untrusted_data, platform))
    try:
        return ScannedClip(look, _heard(untrusted_data, platform))
    except NotASound:
        return ScannedClip(look)


def clip_matches(
    seen: ScannedClip, platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Claims that it fits, each with the number of a registered hash that floods are counted by
    (negative: of a sound); and the banks, read after the claims.
    """
    whole = list(_near(seen.look.hashes, platform, part=False))
    cut = list(_near([view.bits for view in seen.look.trimmed], platform, part=True))
    alike = platform.sounds.near(seen.heard)
    places, inner = (_places({one.entry for one in near}, platform) for near in (whole, cut))
    heard = _hearers({one.sound for one in alike}, platform)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    radius = {bank.name: bank.radius for bank in banks.values()}
    hits = [
        *video_hits(seen.look, whole, places, radius),
        *trimmed_hits(seen.look, cut, inner, radius),
        *sound_hits(alike, heard),
    ]
    entries = _entries(places, inner, alike, heard)
    return [(entries[claim.id], (match, claim)) for match, claim in hits], banks


def frames_to_keep(seen: ScannedClip) -> tuple[bytes, ...]:
    """Hashes of what it shows, upright and without its bars, for claims that come later: each at
    least as far from the one before it as two registered ones, and at most FRAMES_KEPT_MAX, spread
    evenly over it.
    """
    upright = [view for view in seen.look.views if view.how in (UPRIGHT, NO_BARS)]
    kept = list[bytes]()
    for bits in upright[-1].hashes if upright else ():
        if not kept or apart(bits, kept[-1]) > NEIGHBOUR_BITS:
            kept.append(bits)
    step = max(1, -(-len(kept) // FRAMES_KEPT_MAX))
    return tuple(kept[::step])


def sound_to_keep(seen: ScannedClip) -> SoundPrint | None:
    """How it sounds at its own speed, for claims that come later, up to what can be registered;
    None where five seconds of it could not be told apart.
    """
    as_it_is = next((one.words for one in seen.heard if one.how == AS_IT_IS), b"")
    words = as_it_is[: 4 * SOUND_WORDS_MAX]
    if not words or is_too_quiet(sound := SoundPrint(words)):
        return None
    return sound


def claims_near(frames: Sequence[bytes], platform: Platform) -> set[ClaimId]:
    """Claims on hashes near these frames as they are: a quick question."""
    entries = {one.entry for one in _near(frames, platform, part=False)}
    return {claim.id for _, claim, _ in platform.bank.places_on(entries)}


def _looked(untrusted_data: bytes, platform: Platform) -> VideoLook:
    with platform.read_clip(untrusted_data, LOOKED_AT) as clip:
        frames = _in_time(clip, platform)
        look = video_look(frames, clip.shown.length_s)
        _require_end(frames, clip.shown.length_s)
    return look


def _in_time(clip: Clip, platform: Platform) -> Iterator[Frame]:
    """Its frames, as long as there is time; raises ClipBroken after that."""
    end = platform.clock.now() + LOOK_S_MAX
    for frame in clip.frames:
        if platform.clock.now() > end:
            raise ClipBroken
        yield frame


def _require_end(frames: Iterator[Frame], length_s: float) -> None:
    """What goes on after the end that its file announces was not seen; raises ClipTooLong."""
    seen_s = max(length_s, LOOK_FRAMES_MAX * LOOKED_AT.apart_s)
    if any(frame.at_s > seen_s + _SLACK_S for frame in frames):
        raise ClipTooLong(limit_minutes=LAST_MS // 60_000)


def _heard(untrusted_data: bytes, platform: Platform) -> tuple[HeardAs, ...]:
    sound = platform.read_sound(untrusted_data, RATE_HZ)
    views = sound_look(np.asarray(sound), sound.rate_hz)
    return tuple(HeardAs(one.how, one.words.astype(">u4").tobytes()) for one in views)


def _near(hashes: Sequence[bytes], platform: Platform, *, part: bool) -> Iterator[Near]:
    for start in range(0, len(hashes), _AT_ONCE):
        for one in platform.index.near(hashes[start : start + _AT_ONCE], part=part):
            yield replace(one, query=one.query + start)


def _places(entries: Collection[int], platform: Platform) -> Places:
    """What was released as a picture says nothing of a clip with that picture in it, nor does a
    still that a reviewer confirmed say what the video is.
    """
    places: Places = {}
    for entry, claim, at_ms in platform.bank.places_on(entries):
        if claim.bank != RELEASED and not claim.added:
            places.setdefault(entry, []).append((claim, at_ms))
    return places


def _hearers(sounds: Collection[int], platform: Platform) -> dict[int, list[Claim]]:
    claims: dict[int, list[Claim]] = {}
    for sound, claim in platform.bank.heard_by(sounds):
        claims.setdefault(sound, []).append(claim)
    return claims


def _entries(
    places: Places, inner: Places, alike: Sequence[Alike], heard: dict[int, list[Claim]]
) -> dict[ClaimId, int]:
    """By claim, the first registered of its hashes that was near, or else its sound: so the same
    video, encoded in two ways, is counted as one.
    """
    entries: dict[ClaimId, int] = {}
    for some in (places, inner):
        for entry in sorted(some):
            for claim, _ in some[entry]:
                entries.setdefault(claim.id, entry)
    for one in alike:
        for claim in heard.get(one.sound, ()):
            entries.setdefault(claim.id, -one.sound)
    return entries
