"""Match an upload's frames and sounds against registered videos and sounds (docs/spec/gate.md).

An upload matches a video that it shows whole or in part.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.nouns import HALF_SECOND_MS, Match, NearHash, SoundMatch, VideoViews
from entrenous.stop.judge.weigh import Hit
from entrenous.stop.registration import Claim

# The share of an upload's half seconds that must match; measured in bench/stopping/recall_reel.py.
SHARE_MIN: Final = 0.5
MATCHING_MOMENTS_MIN: Final = (
    # The least number of half seconds of the upload, and of frames of the claim, that must match.
    # Fewer matches prove no more than a still picture would.
    3
)
ClaimFrame = tuple[Claim, int | None]
"""A claim on a registered hash, and the time of the frame with it (ms; None: a still picture)."""


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

    def moments_in_order(self) -> int:
        """Return how many half seconds of the upload match the claim's frames in order.

        This is the longest increasing subsequence of times (Fredman 1975). Later frames of a half
        second are tried first, so that each half second counts only once.
        """
        ends: list[int] = []
        for moment in sorted(self.found):
            times = {at_ms for at_ms, _ in self.found[moment] if at_ms is not None}
            for at_ms in sorted(times, reverse=True):
                place = bisect_right(ends, at_ms)
                ends[place : place + 1] = [at_ms]
        return len(ends)

    def distinct_claim_frames(self) -> int:
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
    claims_by_entry: Mapping[int, Sequence[ClaimFrame]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """Return the claims that an uploaded video matches, by the best view of each, nearest first.

    ``part`` of a match is false only if the upload is the registered video itself. This is assumed
    if in one view at least half of the upload's half seconds, and at least three, match in order.
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
    claims_by_entry: Mapping[int, Sequence[ClaimFrame]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """Return the claims whose frames an uploaded video may show with their edges cut off, as parts.

    Because many windows are tried, one match is not enough: two half seconds of the upload must
    match two frames of the claim in the same orientation.

    Args:
        video: the upload.
        near: the results of the index of parts for ``video.trimmed``, in that order.
        claims_by_entry: by entry number of a hash without edges, the matching claims on it with
            their times.
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
        if min(len(pairs.found), pairs.distinct_claim_frames()) >= 2
    ]
    best = {pairs.claim.id: pairs for pairs in sorted(enough, key=_match_rank)}
    return [
        (replace(_video_match(pairs, video), part=True), pairs.claim) for pairs in best.values()
    ]


def _group_by_view(
    video: VideoViews,
    near: Iterable[NearHash],
    claims_by_entry: Mapping[int, Sequence[ClaimFrame]],
    radius: Mapping[BankName, int],
) -> list[_ViewMatches]:
    groups: dict[tuple[ClaimId, int], _ViewMatches] = {}
    for one in near:
        view, frame = video.view_and_frame(one.query)
        for claim, at_ms in claims_by_entry.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                how = video.views[view].how
                group = groups.setdefault((claim.id, view), _ViewMatches(claim, how))
                group.found.setdefault(video.moment(frame), []).append((at_ms, one.distance))
    return list(groups.values())


def _match_rank(pairs: _ViewMatches) -> tuple[int, int, float]:
    return pairs.moments_in_order(), len(pairs.found), -median(pairs.least_distances())


def _video_match(pairs: _ViewMatches, video: VideoViews) -> Match:
    in_order_min = max(MATCHING_MOMENTS_MIN, SHARE_MIN * video.moments)
    is_whole = (
        pairs.moments_in_order() >= in_order_min
        and pairs.distinct_claim_frames() >= MATCHING_MOMENTS_MIN
    )
    start_s = min(pairs.found) * HALF_SECOND_MS / 1000
    how = f"{pairs.how}; {len(pairs.found)} of {video.moments} half seconds, from {start_s:.1f} s"
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
        alike: the index's results, longest stretch first.
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
