"""Does an uploaded sound, or the sound of a video, hold a registered one? docs/spec/gate.md

What sounds alike is held for a person and never refused by a machine, whatever the claim: a
registered video may have a song in it that thousands of others have too. A reviewer who releases
such an upload answers for that sound.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from entrenous.model.claim import Claim
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.print import Alike
from entrenous.spec import PDQ_BYTES
from entrenous.stop.weigh import Hit

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
            best.setdefault(claim.id, (_match(one, claim), claim))
    return list(best.values())


def _match(one: Alike, claim: Claim) -> Match:
    how = f"{one.how}; {one.length_s:.1f} s of sound, from {one.at_s:.1f} s"
    return Match(claim.bank, claim.id, round(_BITS * one.errors), how, part=True)
