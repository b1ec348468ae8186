"""Match an upload's frames and sounds against registered videos and sounds (docs/spec/gate.md).

A video matches one that it shows whole or in part.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.nouns import MOMENT_MS, Alike, Match, Near, VideoLook
from entrenous.stop.judge.weigh import Hit
from entrenous.stop.registration import Claim

SHARE_MIN: Final = 0.5  # of an upload's half seconds; measured in bench/stopping/recall_reel.py
MOMENTS_MIN: Final = 3  # of the upload and of the claim: fewer are as good as a still picture


Place = tuple[Claim, int | None]
"""A claim on a registered hash, and when the frame with it is shown (ms; None: a still picture)."""


@dataclass(slots=True)
class _Pairs:
    """What one view has in common with one claim.

    ``found`` has, by half second of the upload that fits, the times of the registered frames there
    and their distances.
    """

    claim: Claim
    how: str
    found: dict[int, list[tuple[int | None, int]]] = field(default_factory=dict)

    def nearest(self) -> list[int]:
        """The least distance in each half second that fits."""
        return [min(bits for _, bits in places) for places in self.found.values()]

    def in_order(self) -> int:
        """How many half seconds of the upload fit frames of the claim that follow each other.

        The longest chain of rising times (Fredman 1975): among the frames that one half second
        fits, later ones are tried first, so that it counts once.
        """
        ends: list[int] = []
        for moment in sorted(self.found):
            times = {at_ms for at_ms, _ in self.found[moment] if at_ms is not None}
            for at_ms in sorted(times, reverse=True):
                place = bisect_right(ends, at_ms)
                ends[place : place + 1] = [at_ms]
        return len(ends)

    def frames(self) -> int:
        """How many different frames of the claim are fitted."""
        return len({at for places in self.found.values() for at, _ in places if at is not None})


def video_hits(
    look: VideoLook,
    near: Iterable[Near],
    places: Mapping[int, Sequence[Place]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """The claims that an uploaded video fits, the best view of each, nearest first.

    ``part`` of a match is false only for the registered video itself: at least half of the
    upload's half seconds, and three, in one view and in order. ``distance`` is the median of those
    that fit, ``how`` says in which view, how many of how many, and from when on.

    Args:
        look: the upload.
        near: the index's answers about ``look.hashes``.
        places: by entry number, the claims that match on it and when.
        radius: by bank, the largest distance that counts.
    """
    best: dict[ClaimId, _Pairs] = {}
    for pairs in _grouped(look, near, places, radius):
        known = best.get(pairs.claim.id)
        if known is None or _rank(pairs) > _rank(known):
            best[pairs.claim.id] = pairs
    hits = [(_match(pairs, look), pairs.claim) for pairs in best.values()]
    return sorted(hits, key=lambda hit: (hit[0].part, hit[0].distance))


def trimmed_hits(
    look: VideoLook,
    near: Iterable[Near],
    places: Mapping[int, Sequence[Place]],
    radius: Mapping[BankName, int],
) -> list[Hit]:
    """The claims of which an uploaded video may show the frames with their edges cut; parts only.

    So many windows are tried that one that fits is not enough: two half seconds of the upload must
    fit two frames of the claim in the same orientation.

    Args:
        look: the upload.
        near: the answers of the index of parts about ``look.trimmed``, in that order.
        places: by entry number of a hash without edges, the claims that match on it and when.
        radius: by bank, the largest distance that counts.
    """
    groups: dict[tuple[ClaimId, str], _Pairs] = {}
    for one in near:
        view = look.trimmed[one.query]
        for claim, at_ms in places.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                group = groups.setdefault((claim.id, view.how), _Pairs(claim, view.how))
                group.found.setdefault(view.at_ms // MOMENT_MS, []).append((at_ms, one.distance))
    enough = [pairs for pairs in groups.values() if min(len(pairs.found), pairs.frames()) >= 2]
    best = {pairs.claim.id: pairs for pairs in sorted(enough, key=_rank)}
    return [(replace(_match(pairs, look), part=True), pairs.claim) for pairs in best.values()]


def _grouped(
    look: VideoLook,
    near: Iterable[Near],
    places: Mapping[int, Sequence[Place]],
    radius: Mapping[BankName, int],
) -> list[_Pairs]:
    groups: dict[tuple[ClaimId, int], _Pairs] = {}
    for one in near:
        view, frame = look.asked(one.query)
        for claim, at_ms in places.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                group = groups.setdefault((claim.id, view), _Pairs(claim, look.views[view].how))
                group.found.setdefault(look.moment(frame), []).append((at_ms, one.distance))
    return list(groups.values())


def _rank(pairs: _Pairs) -> tuple[int, int, float]:
    return pairs.in_order(), len(pairs.found), -median(pairs.nearest())


def _match(pairs: _Pairs, look: VideoLook) -> Match:
    itself = (
        pairs.in_order() >= max(MOMENTS_MIN, SHARE_MIN * look.moments)
        and pairs.frames() >= MOMENTS_MIN
    )
    start_s = min(pairs.found) * MOMENT_MS / 1000
    seen = f"{len(pairs.found)} of {look.moments} half seconds, from {start_s:.1f} s"
    distance = round(median(pairs.nearest()))
    return Match(
        pairs.claim.bank, pairs.claim.id, distance, f"{pairs.how}; {seen}", part=not itself
    )


_BITS: Final = 8 * PDQ_BYTES


def sound_hits(alike: Iterable[Alike], claims: Mapping[int, Sequence[Claim]]) -> list[Hit]:
    """The claims whose sound an upload holds, the longest stretch of each, longest first.

    ``distance`` is how many of 256 bits would differ, to be read like a picture's; which distances
    count is the index's rule and not a bank's, since it depends on the length of the stretch.
    ``part`` is always true.

    Args:
        alike: the index's answers, longest stretch first.
        claims: by number of the registered sound, the claims that match on it.
    """
    best: dict[ClaimId, Hit] = {}
    for one in sorted(alike, key=lambda one: (-one.length_s, one.errors)):
        for claim in claims.get(one.sound, ()):
            best.setdefault(claim.id, (_sound_match(one, claim), claim))
    return list(best.values())


def _sound_match(one: Alike, claim: Claim) -> Match:
    how = f"{one.how}; {one.length_s:.1f} s of sound, from {one.at_s:.1f} s"
    return Match(claim.bank, claim.id, round(_BITS * one.errors), how, part=True)
