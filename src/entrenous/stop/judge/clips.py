"""Scan an uploaded clip or sound: its frames, its sound, and the registrations that match."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from entrenous.base.audio_video import (
    Clip,
    ClipTooLong,
    DamagedClip,
    Frame,
    NoSoundFound,
    NoVideoFound,
    UnsupportedVideoCodec,
)
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import FRAMES_KEPT_MAX
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.nouns import (
    CLIP_MS_MAX,
    SOUND_WORDS_MAX,
    UPLOAD_FRAMES_MAX,
    NearHash,
    SoundMatch,
    SoundPrint,
    SoundVariant,
    VideoViews,
)
from entrenous.fingerprint.pdq import UPRIGHT
from entrenous.fingerprint.sound_index import AS_IT_IS, is_too_quiet, sound_views
from entrenous.fingerprint.video_hash import (
    BARS_REMOVED,
    SAME_SCENE_BITS_MAX,
    UPLOAD_FRAMES,
    differing_bits,
    video_views,
)
from entrenous.stop.judge.clip_matches import ClaimFrame, sound_hits, trimmed_hits, video_hits
from entrenous.stop.judge.weigh import Hit
from entrenous.stop.nouns import RELEASED, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim

# The longest time for decoding one clip, by the gate's clock.
SCAN_S_MAX: Final = timedelta(seconds=120)
# Hashes looked up at once, so that a long clip needs no more memory than a short one.
_HASHES_PER_LOOK_UP: Final = 1000
# Tolerated difference between the length that a file declares and the time of its last frame.
_DECLARED_LENGTH_TOLERANCE_S: Final = 1.0
_NO_VIDEO: Final = VideoViews((), ())
ClaimsByEntry = dict[int, list[ClaimFrame]]


@dataclass(frozen=True, slots=True)
class ScannedClip:
    """The frames and the sound of an upload, for comparison; one of the two may be missing."""

    video: VideoViews = _NO_VIDEO
    sound_variants: tuple[SoundVariant, ...] = ()


def scan_clip(untrusted_data: bytes, platform: Platform) -> ScannedClip:
    """Decode a stranger's clip or sound, frame by frame.

    Raises:
        NoSoundFound, FramesTooLarge: the upload has neither video nor sound, or its frames are too
            large; refuse it for this reason.
        IncompleteClip, DamagedClip, ClipTooLong, UnsupportedVideoCodec, DamagedSound, SoundTooLong:
            the upload could not be decoded to its end.
        DecoderDidNotStart: the decoder process did not start.
    """
    try:
        video = _scan_video(untrusted_data, platform)
    except UnsupportedVideoCodec:
        raise
    except NoVideoFound:
        return ScannedClip(sound_variants=_scan_sound(untrusted_data, platform))
    try:
        return ScannedClip(video, _scan_sound(untrusted_data, platform))
    except NoSoundFound:
        return ScannedClip(video)


def clip_matches(
    clip: ScannedClip, platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Return the claims that a clip matches, and the banks, which are read after the claims.

    Each claim comes with the number of a registered hash, which is used to count floods; numbers of
    sounds are negative.
    """
    whole = list(_near_hashes(clip.video.hashes, platform, part=False))
    cut = list(_near_hashes([view.bits for view in clip.video.trimmed], platform, part=True))
    alike = platform.sounds.near(clip.sound_variants)
    claims_by_entry, inner = (
        _claims_by_entry({one.entry for one in near}, platform) for near in (whole, cut)
    )
    claims_by_sound = _claims_by_sound({one.sound for one in alike}, platform)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    radius = {bank.name: bank.radius for bank in banks.values()}
    hits = [
        *video_hits(clip.video, whole, claims_by_entry, radius),
        *trimmed_hits(clip.video, cut, inner, radius),
        *sound_hits(alike, claims_by_sound),
    ]
    entries = _first_entries(claims_by_entry, inner, alike, claims_by_sound)
    return [(entries[claim.id], (match, claim)) for match, claim in hits], banks


def frames_to_store(clip: ScannedClip) -> tuple[bytes, ...]:
    """Return hashes of a clip's frames, upright and without bars, to store for later claims.

    Successive hashes differ at least as much as those of registered videos. There are at most
    FRAMES_KEPT_MAX, spread evenly over the clip.
    """
    upright = [view for view in clip.video.views if view.how in (UPRIGHT, BARS_REMOVED)]
    kept = list[bytes]()
    for bits in upright[-1].hashes if upright else ():
        if not kept or differing_bits(bits, kept[-1]) > SAME_SCENE_BITS_MAX:
            kept.append(bits)
    step = max(1, -(-len(kept) // FRAMES_KEPT_MAX))
    return tuple(kept[::step])


def sound_to_store(clip: ScannedClip) -> SoundPrint | None:
    """Return the fingerprint of a clip's sound at its own speed, to store for later claims.

    It is cut to the length that can be registered. Return None if no five seconds of the sound are
    distinctive.
    """
    as_it_is = next((one.words for one in clip.sound_variants if one.how == AS_IT_IS), b"")
    words = as_it_is[: 4 * SOUND_WORDS_MAX]
    if not words or is_too_quiet(sound := SoundPrint(words)):
        return None
    return sound


def claims_near(frames: Sequence[bytes], platform: Platform) -> set[ClaimId]:
    """Return the claims on hashes near these frames; this is quicker than a full comparison."""
    entries = {one.entry for one in _near_hashes(frames, platform, part=False)}
    return {claim.id for _, claim, _ in platform.bank.claims_by_hash(entries)}


def _scan_video(untrusted_data: bytes, platform: Platform) -> VideoViews:
    with platform.read_clip(untrusted_data, UPLOAD_FRAMES) as clip:
        frames = _frames_within_time(clip, platform)
        look = video_views(frames, clip.shown.length_s)
        _require_announced_end(frames, clip.shown.length_s)
    return look


def _frames_within_time(clip: Clip, platform: Platform) -> Iterator[Frame]:
    """Yield a clip's frames; raise DamagedClip when the time is up."""
    end = platform.clock.now() + SCAN_S_MAX
    for frame in clip.frames:
        if platform.clock.now() > end:
            raise DamagedClip
        yield frame


def _require_announced_end(frames: Iterator[Frame], length_s: float) -> None:
    """Raise ClipTooLong if frames follow after the length that the file declares."""
    seen_s = max(length_s, UPLOAD_FRAMES_MAX * UPLOAD_FRAMES.apart_s)
    if any(frame.at_s > seen_s + _DECLARED_LENGTH_TOLERANCE_S for frame in frames):
        raise ClipTooLong(limit_minutes=CLIP_MS_MAX // 60_000)


def _scan_sound(untrusted_data: bytes, platform: Platform) -> tuple[SoundVariant, ...]:
    sound = platform.read_sound(untrusted_data, RATE_HZ)
    views = sound_views(np.asarray(sound), sound.rate_hz)
    return tuple(SoundVariant(one.how, one.words.astype(">u4").tobytes()) for one in views)


def _near_hashes(hashes: Sequence[bytes], platform: Platform, *, part: bool) -> Iterator[NearHash]:
    for start in range(0, len(hashes), _HASHES_PER_LOOK_UP):
        for one in platform.index.near(hashes[start : start + _HASHES_PER_LOOK_UP], part=part):
            yield replace(one, query=one.query + start)


def _claims_by_entry(entries: Collection[int], platform: Platform) -> ClaimsByEntry:
    """Return the claims on each entry, without releases and hashes that reviewers added.

    The decision about a still picture does not apply to a clip that shows it.
    """
    claims_by_entry: ClaimsByEntry = {}
    for entry, claim, at_ms in platform.bank.claims_by_hash(entries):
        if claim.bank != RELEASED and not claim.added:
            claims_by_entry.setdefault(entry, []).append((claim, at_ms))
    return claims_by_entry


def _claims_by_sound(sounds: Collection[int], platform: Platform) -> dict[int, list[Claim]]:
    claims: dict[int, list[Claim]] = {}
    for sound, claim in platform.bank.claims_on_sounds(sounds):
        claims.setdefault(sound, []).append(claim)
    return claims


def _first_entries(
    claims_by_entry: ClaimsByEntry,
    inner: ClaimsByEntry,
    alike: Sequence[SoundMatch],
    claims_by_sound: dict[int, list[Claim]],
) -> dict[ClaimId, int]:
    """Return for each claim the number of the first registered of its matching hashes, or else of
    its sound.

    Two encodings of a video are thus counted as one.
    """
    entries: dict[ClaimId, int] = {}
    for by_entry in (claims_by_entry, inner):
        for entry in sorted(by_entry):
            for claim, _ in by_entry[entry]:
                entries.setdefault(claim.id, entry)
    for one in alike:
        for claim in claims_by_sound.get(one.sound, ()):
            entries.setdefault(claim.id, -one.sound)
    return entries
