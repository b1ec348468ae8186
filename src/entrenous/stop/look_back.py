"""A claim may come after the upload: look back at what was let through (docs/spec/gate.md, 5.2).

Of an accepted upload only its 32-byte hash is kept, and for some weeks. The new claim's hashes are
compared with these as they are, turned, mirrored and inverted, by reading them page by page: that
takes a moment, so it is done after the claim was answered, and what fits goes before a person.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.orientation import UPRIGHT
from entrenous.model.claim import MATCHING, Claim
from entrenous.model.fingerprint import Match
from entrenous.model.review import LateFind
from entrenous.ports import Platform
from entrenous.spec import PDQ_BYTES
from entrenous.stop.look import INVERTED
from entrenous.stop.turned import turned_back
from entrenous.stop.weigh import asks

LEASE: Final = timedelta(minutes=2)  # as long as somebody may be at what is due
_PAGE: Final = 10_000
_CLAIMS: Final = 100

Words = NDArray[np.uint64]  # (N, 4): 256 bits a row
Fit = tuple[str, Match, int]  # an upload's case, how it fits, and the registered hash's number


def look_back(claims: Sequence[Claim], platform: Platform) -> int:
    """Put accepted uploads that fit these claims before a reviewer; how many.

    Reads all that is kept once, 10,000 at a time: 2 ms a page and hash, beside the database.
    What a bank would let through anyway, or only write down, is not looked for.
    """
    if platform.limits.look_back_days == 0:
        return 0
    wanted = [one for claim in claims for one in _wanted(claim, platform)]
    limit = platform.limits.held_per_hash
    fits = list(_fits(wanted, platform)) if wanted else []
    return sum(
        platform.reviews.hold_late(LateFind(case, tuple(matches), entry), limit)
        for case, (matches, entry) in _by_case(fits).items()
    )


def look_back_due(platform: Platform) -> int:
    """:func:`look_back` for all claims for which it is due, and for which nobody else is at it."""
    found = 0
    while names := platform.reviews.take_look_backs(LEASE, _CLAIMS):
        found += look_back([platform.bank.claim(name) for name in names], platform)
        platform.reviews.looked_back(*names)
    return found


def tidy(platform: Platform) -> None:
    """Forget what is kept for a time only; to be called now and then."""
    days = timedelta(days=platform.limits.look_back_days)
    platform.reviews.forget_accepted(platform.clock.now() - days)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One hash of a claim: ``ways`` (8, 4) words of what an upload's hash may be, and how made."""

    claim: Claim
    entry: int
    radius: int
    hows: tuple[str, ...]
    ways: Words


def _wanted(claim: Claim, platform: Platform) -> Iterator[_Wanted]:
    bank = platform.bank.bank(claim.bank)
    if not (claim.state in MATCHING and asks(claim, bank)):
        return
    for bits in platform.bank.hashes_of(claim.id):
        ways = turned_back(bits)
        words = _words(b"".join(ways.values()))
        yield _Wanted(claim, _entry(bits, platform), bank.radius, tuple(ways), words)


def _entry(bits: bytes, platform: Platform) -> int:
    """The number of a registered hash; 0 if it was withdrawn just now."""
    near = platform.index.near([bits], part=False)
    return min(((one.distance, one.entry) for one in near), default=(0, 0))[1]


def _fits(wanted: Sequence[_Wanted], platform: Platform) -> Iterator[Fit]:
    after = 0
    while page := platform.reviews.accepted(after, _PAGE):
        words = _words(b"".join(upload.bits for upload in page))
        for one in wanted:
            for row, match in _near(words, one):
                yield page[row].case, match, one.entry
        after = page[-1].number


def _near(words: Words, one: _Wanted) -> Iterator[tuple[int, Match]]:
    """Rows of ``words`` (N, 4) within the radius, each with its best way; inverted ones too."""
    apart = np.bitwise_count(words[:, None, :] ^ one.ways[None]).sum(axis=2, dtype=np.int16)
    both = np.concatenate([apart, 256 - apart], axis=1)
    best = both.argmin(axis=1)
    nearest = both[np.arange(len(both)), best]
    for row in np.flatnonzero(nearest <= one.radius):
        how = _said(one.hows[best[row] % len(one.hows)], inverted=best[row] >= len(one.hows))
        yield int(row), Match(one.claim.bank, one.claim.id, int(nearest[row]), how)


def _said(how: str, *, inverted: bool) -> str:
    if not inverted:
        return how
    return INVERTED if how == UPRIGHT else f"{how}, {INVERTED}"


def _by_case(fits: Sequence[Fit]) -> dict[str, tuple[list[Match], int]]:
    """All matches of each upload, nearest first, one per claim, and the nearest's hash."""
    found = dict[str, tuple[list[Match], int]]()
    for case, match, entry in sorted(fits, key=lambda fit: (fit[0], fit[1].distance, fit[2])):
        matches, _ = found.setdefault(case, ([], entry))
        if match.claim not in {one.claim for one in matches}:
            matches.append(match)
    return found


def _words(hashes: bytes) -> Words:
    return np.frombuffer(hashes, dtype=np.uint64).reshape(-1, PDQ_BYTES // 8)
