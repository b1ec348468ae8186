"""Scan an uploaded clip or sound: its frames, its sound, and the registrations that match.

A clip matches a registered video that it shows whole or in part (docs/spec/gate.md).
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median
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
from entrenous.base.limits import CLIP_FRAMES_STORED_MAX, PDQ_BYTES
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.nouns import (
    CLIP_MS_MAX,
    HALF_SECOND_MS,
    SOUND_WORDS_MAX,
    UPLOAD_FRAMES_MAX,
    Match,
    NearHash,
    SoundMatch,
    SoundPrint,
    SoundVariant,
    VideoViews,
)
from entrenous.fingerprint.pdq import UNCHANGED_ORIENTATION_NAME
from entrenous.fingerprint.sound_index import UNCHANGED_VIEW_NAME, is_too_indistinct, sound_views
from entrenous.fingerprint.video_hash import (
    BARS_REMOVED_VIEW_NAME,
    SAME_SCENE_BITS_MAX,
    UPLOAD_FRAME_SELECTION,
    differing_bits,
    video_views,
)
from entrenous.stop.judge.weigh import Hit
from entrenous.stop.nouns import RELEASED_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim

# The longest that decoding one clip may take, by the gate's clock.
CLIP_SCAN_TIME_MAX: Final = timedelta(seconds=120)
# The number of hashes looked up at once, so that a long clip needs no more memory than a short one.
_HASHES_PER_LOOK_UP: Final = 1000
# Tolerated difference between the length that a file declares and the time of its last frame.
_DECLARED_LENGTH_TOLERANCE_S: Final = 1.0
_NO_VIDEO: Final = VideoViews((), ())
ClaimWithFrameTime = tuple[Claim, int | None]
"""A claim on a registered hash, and the time of the frame with it (ms; None: a still picture)."""
ClaimsByEntry = dict[int, list[ClaimWithFrameTime]]


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
        video = _hash_video(untrusted_data, platform)
    except UnsupportedVideoCodec:
        raise
    except NoVideoFound:
        return ScannedClip(sound_variants=_fingerprint_sound(untrusted_data, platform))
    try:
        return ScannedClip(video, _fingerprint_sound(untrusted_data, platform))
    except NoSoundFound:
        return ScannedClip(video)


def find_clip_hits_and_banks(
    clip: ScannedClip, platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Return the claims that a clip matches, and the banks, which are read after the claims.

    Each claim comes with the number of a registered hash, by which floods (many uploads that match
    one hash) are counted; the number of a sound is negative.
    """
    whole = list(_near_hashes(clip.video.hashes, platform, part=False))
    cut = list(_near_hashes([view.bits for view in clip.video.trimmed], platform, part=True))
    alike = platform.sounds.find_matching_sounds(clip.sound_variants)
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
    entries = _entry_of_each_claim(claims_by_entry, inner, alike, claims_by_sound)
    return [(entries[claim.id], (match, claim)) for match, claim in hits], banks


def frame_hashes_to_store(clip: ScannedClip) -> tuple[bytes, ...]:
    """Return hashes of a clip's frames, upright and without bars, to store for later claims.

    Successive hashes differ at least as much as those of registered videos. There are at most
    CLIP_FRAMES_STORED_MAX, spread evenly over the clip.
    """
    upright = [
        view
        for view in clip.video.views
        if view.how in (UNCHANGED_ORIENTATION_NAME, BARS_REMOVED_VIEW_NAME)
    ]
    kept = list[bytes]()
    for bits in upright[-1].hashes if upright else ():
        if not kept or differing_bits(bits, kept[-1]) > SAME_SCENE_BITS_MAX:
            kept.append(bits)
    step = max(1, -(-len(kept) // CLIP_FRAMES_STORED_MAX))
    return tuple(kept[::step])


def sound_print_to_store(clip: ScannedClip) -> SoundPrint | None:
    """Return the fingerprint of a clip's sound at its own speed, to store for later claims.

    It is cut to the length that can be registered. Return None if no five seconds of the sound are
    distinctive.
    """
    as_it_is = next(
        (one.words for one in clip.sound_variants if one.how == UNCHANGED_VIEW_NAME), b""
    )
    words = as_it_is[: 4 * SOUND_WORDS_MAX]
    if not words or is_too_indistinct(sound := SoundPrint(words)):
        return None
    return sound


def claims_near_frames(frames: Sequence[bytes], platform: Platform) -> set[ClaimId]:
    """Return the claims on hashes near these frames; this is quicker than a full comparison."""
    entries = {one.entry for one in _near_hashes(frames, platform, part=False)}
    return {claim.id for _, claim, _ in platform.bank.claims_on_pictures_and_frames(entries)}


def _hash_video(untrusted_data: bytes, platform: Platform) -> VideoViews:
    with platform.read_clip(untrusted_data, UPLOAD_FRAME_SELECTION) as clip:
        frames = _frames_within_time(clip, platform)
        look = video_views(frames, clip.shown.length_s)
        _refuse_frames_after_declared_end(frames, clip.shown.length_s)
    return look


def _frames_within_time(clip: Clip, platform: Platform) -> Iterator[Frame]:
    """Yield a clip's frames; raise DamagedClip when the time is up."""
    end = platform.clock.now() + CLIP_SCAN_TIME_MAX
    for frame in clip.frames:
        if platform.clock.now() > end:
            raise DamagedClip
        yield frame


def _refuse_frames_after_declared_end(frames: Iterator[Frame], length_s: float) -> None:
    """Raise ClipTooLong if frames follow after the length that the file declares."""
    seen_s = max(length_s, UPLOAD_FRAMES_MAX * UPLOAD_FRAME_SELECTION.apart_s)
    if any(frame.at_s > seen_s + _DECLARED_LENGTH_TOLERANCE_S for frame in frames):
        raise ClipTooLong(limit_minutes=CLIP_MS_MAX // 60_000)


def _fingerprint_sound(untrusted_data: bytes, platform: Platform) -> tuple[SoundVariant, ...]:
    sound = platform.read_sound(untrusted_data, RATE_HZ)
    views = sound_views(np.asarray(sound), sound.rate_hz)
    return tuple(SoundVariant(one.how, one.words.astype(">u4").tobytes()) for one in views)


def _near_hashes(hashes: Sequence[bytes], platform: Platform, *, part: bool) -> Iterator[NearHash]:
    for start in range(0, len(hashes), _HASHES_PER_LOOK_UP):
        for one in platform.index.find_near_hashes(
            hashes[start : start + _HASHES_PER_LOOK_UP], part=part
        ):
            yield replace(one, query=one.query + start)


def _claims_by_entry(entries: Collection[int], platform: Platform) -> ClaimsByEntry:
    """Return the claims on each entry, without two kinds: claims in RELEASED_BANK, and claims that
    apply to the entry only because a reviewer added its hash.

    The decision about a still picture does not apply to a clip that shows it.
    """
    claims_by_entry: ClaimsByEntry = {}
    for entry, claim, at_ms in platform.bank.claims_on_pictures_and_frames(entries):
        if claim.bank != RELEASED_BANK and not claim.added:
            claims_by_entry.setdefault(entry, []).append((claim, at_ms))
    return claims_by_entry


def _claims_by_sound(sounds: Collection[int], platform: Platform) -> dict[int, list[Claim]]:
    claims: dict[int, list[Claim]] = {}
    for sound, claim in platform.bank.claims_on_sounds(sounds):
        claims.setdefault(sound, []).append(claim)
    return claims


def _entry_of_each_claim(
    claims_by_entry: ClaimsByEntry,
    inner: ClaimsByEntry,
    alike: Sequence[SoundMatch],
    claims_by_sound: dict[int, list[Claim]],
) -> dict[ClaimId, int]:
    """Return one entry number for each claim: the lowest among its matching hashes of whole frames,
    or else among those of trimmed frames. If only its sound matches, return the sound's number,
    negated.

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


# The share of an upload's half seconds that must match; measured in bench/stopping/recall_reel.py.
MATCHING_HALF_SECONDS_SHARE_MIN: Final = 0.5
MATCHING_HALF_SECONDS_MIN: Final = (
    # The least number of half seconds of the upload, and of frames of the claim, that must match.
    # Fewer matches prove no more than a still picture would.
    3
)


@dataclass(slots=True)
class _ViewMatches:
    """The matches of one view (the upload after one transformation) with one claim.

    ``found`` has, for each matching half second of the upload, the times of the matching registered
    frames and their distances.
    """

    claim: Claim
    how: str
    found: dict[int, list[tuple[int | None, int]]] = field(default_factory=dict)

    def least_distances(self) -> list[int]:
        """Return the least distance, in bits, in each matching half second."""
        return [min(bits for _, bits in claims_by_entry) for claims_by_entry in self.found.values()]

    def count_half_seconds_in_order(self) -> int:
        """Return how many half seconds of the upload match the claim's frames in order.

        This is the longest subsequence of times that never decreases (Fredman 1975). Later frames
        of a half second are tried first, so that a half second with several frames counts once.
        """
        ends: list[int] = []
        for moment in sorted(self.found):
            times = {at_ms for at_ms, _ in self.found[moment] if at_ms is not None}
            for at_ms in sorted(times, reverse=True):
                place = bisect_right(ends, at_ms)
                ends[place : place + 1] = [at_ms]
        return len(ends)

    def count_distinct_claim_frames(self) -> int:
        """Return how many different frames of the claim match."""
        return len(
            {
                at
                for claims_by_entry in self.found.values()
                for at, _ in claims_by_entry
                if at is not None
            }
        )


def video_hits(
    video: VideoViews,
    near: Iterable[NearHash],
    claims_by_entry: Mapping[int, Sequence[ClaimWithFrameTime]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """Return the claims that an uploaded video matches, by the best view of each, nearest first.

    ``part`` of a match is false only if the upload is the registered video itself. This is assumed
    if in one view at least half of the upload's half seconds, and at least three, match in order,
    and at least three different frames of the claim match.
    ``distance`` is the median over the matching half seconds. ``how`` says which view matched, for
    how many half seconds, and from which time.

    Args:
        video: the upload.
        near: the index's results for ``video.hashes``.
        claims_by_entry: by entry number, the matching claims on it with their times.
        radius: by bank, the largest distance that counts.
    """
    best: dict[ClaimId, _ViewMatches] = {}
    for pairs in _group_by_view(video, near, claims_by_entry, radius):
        known = best.get(pairs.claim.id)
        if known is None or _match_rank(pairs) > _match_rank(known):
            best[pairs.claim.id] = pairs
    hits = [(_video_match(pairs, video), pairs.claim) for pairs in best.values()]
    return sorted(hits, key=lambda hit: (hit[0].part, hit[0].distance))


def trimmed_hits(
    video: VideoViews,
    near: Iterable[NearHash],
    claims_by_entry: Mapping[int, Sequence[ClaimWithFrameTime]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """Return the claims of which an uploaded video may show frames whose edges were cut off.
    ``part`` of each match is true.

    Because many windows are tried, one match is not enough: two half seconds of the upload must
    match two frames of the claim in the same orientation.

    Args:
        video: the upload.
        near: the results of the index of parts for ``video.trimmed``, in that order.
        claims_by_entry: for the entry number of each hash of a frame without its edges, the
            claims with this frame, and the frame's times.
        radius: by bank, the largest distance that counts.
    """
    groups: dict[tuple[ClaimId, str], _ViewMatches] = {}
    for one in near:
        view = video.trimmed[one.query]
        for claim, at_ms in claims_by_entry.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                group = groups.setdefault((claim.id, view.how), _ViewMatches(claim, view.how))
                group.found.setdefault(view.at_ms // HALF_SECOND_MS, []).append(
                    (at_ms, one.distance)
                )
    enough = [
        pairs
        for pairs in groups.values()
        if min(len(pairs.found), pairs.count_distinct_claim_frames()) >= 2
    ]
    best = {pairs.claim.id: pairs for pairs in sorted(enough, key=_match_rank)}
    return [
        (replace(_video_match(pairs, video), part=True), pairs.claim) for pairs in best.values()
    ]


def _group_by_view(
    video: VideoViews,
    near: Iterable[NearHash],
    claims_by_entry: Mapping[int, Sequence[ClaimWithFrameTime]],
    radius: Mapping[BankName, int],
) -> list[_ViewMatches]:
    groups: dict[tuple[ClaimId, int], _ViewMatches] = {}
    for one in near:
        view, frame = video.view_and_frame(one.query)
        for claim, at_ms in claims_by_entry.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                how = video.views[view].how
                group = groups.setdefault((claim.id, view), _ViewMatches(claim, how))
                group.found.setdefault(video.half_second_of_frame(frame), []).append(
                    (at_ms, one.distance)
                )
    return list(groups.values())


def _match_rank(pairs: _ViewMatches) -> tuple[int, int, float]:
    return pairs.count_half_seconds_in_order(), len(pairs.found), -median(pairs.least_distances())


def _video_match(pairs: _ViewMatches, video: VideoViews) -> Match:
    in_order_min = max(
        MATCHING_HALF_SECONDS_MIN, MATCHING_HALF_SECONDS_SHARE_MIN * video.half_second_count
    )
    is_whole = (
        pairs.count_half_seconds_in_order() >= in_order_min
        and pairs.count_distinct_claim_frames() >= MATCHING_HALF_SECONDS_MIN
    )
    start_s = min(pairs.found) * HALF_SECOND_MS / 1000
    matched = f"{len(pairs.found)} of {video.half_second_count} half seconds"
    how = f"{pairs.how}; {matched}, from {start_s:.1f} s"
    distance = round(median(pairs.least_distances()))
    return Match(pairs.claim.bank, pairs.claim.id, distance, how, part=not is_whole)


_HASH_BITS: Final = 8 * PDQ_BYTES


def sound_hits(alike: Iterable[SoundMatch], claims: Mapping[int, Sequence[Claim]]) -> list[Hit]:
    """Return the claims whose sound an upload contains, each with its longest matching stretch. The
    longest stretch comes first.

    ``distance`` is scaled to 256 bits, so that it is comparable with a picture's. Which distances
    count depends on the length of the stretch, so the index decides it and not the bank. ``part``
    is always true.

    Args:
        alike: the index's results, in any order.
        claims: by number of the registered sound, the matching claims on it.
    """
    best: dict[ClaimId, Hit] = {}
    for one in sorted(alike, key=lambda one: (-one.length_s, one.errors)):
        for claim in claims.get(one.sound, ()):
            best.setdefault(claim.id, (_sound_match(one, claim), claim))
    return list(best.values())


def _sound_match(one: SoundMatch, claim: Claim) -> Match:
    how = f"{one.how}; {one.length_s:.1f} s of sound, from {one.at_s:.1f} s"
    return Match(claim.bank, claim.id, round(_HASH_BITS * one.errors), how, part=True)
