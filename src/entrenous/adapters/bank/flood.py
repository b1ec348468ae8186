"""Many held uploads of one registered hash wait as one item (docs/spec/gate.md section 5, 5.1).

The rules, without a database: who joins whom, and who is decided together.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from entrenous.model.bank import RELEASED_RADIUS, SAME_BITS
from entrenous.model.review import Found, Review, ReviewState
from entrenous.spec import PDQ_RADIUS

UNREAD_BYTES_MAX: Final = 256 * 1024 * 1024  # of waiting uploads without a hash, together
HOUR: Final = timedelta(hours=1)
_AS_IT_CAME: Final = (Found.UPLOAD, Found.PUBLISHED)
_DECIDED_WITHIN: Final = {
    ReviewState.RELEASED: RELEASED_RADIUS,
    ReviewState.CONFIRMED: PDQ_RADIUS,
}


def is_unread(review: Review) -> bool:
    """Whether it was held because it could not be read: it has no hash, and fits none."""
    return review.entry is None and review.bits is None and review.found in _AS_IT_CAME


def wait_together(review: Review, others: Sequence[Review], held_per_hash: int) -> bool:
    """Whether an upload and ``others``, which wait singly for the same hash, become one item.

    What is looked back at came at any time, so of it all are counted; of uploads, the last hour's.
    A file that cannot be read is one item from the second time on: ``others`` are the same file.
    """
    if is_unread(review):
        return True
    recent = [one for one in others if review.found is Found.LOOK_BACK or one.at > review.at - HOUR]
    return len(recent) + 1 > held_per_hash


def alike(bits: bytes | None, other: bytes | None, radius: int = RELEASED_RADIUS) -> bool:
    """Whether two uploads' hashes are at most ``radius`` bits apart."""
    if bits is None or other is None:
        return False
    return (int.from_bytes(bits) ^ int.from_bytes(other)).bit_count() <= radius


def decided_with(review: Review, waiting: Sequence[Review], state: ReviewState) -> list[Review]:
    """Of those that wait with it, the ones that its decision is about too: the same file and what
    is like it. What lies nearer to a claim than to what the reviewer saw, or fits another claim, is
    not released with it: the first of a flood may be a picture with a part covered.
    """
    return [one for one in waiting if _is_same_file(review, one) or _is_like(review, one, state)]


def _is_like(review: Review, other: Review, state: ReviewState) -> bool:
    near = alike(review.bits, other.bits, _DECIDED_WITHIN[state])
    return near and (state is not ReviewState.RELEASED or _asks_no_more(other, review))


def _asks_no_more(one: Review, than: Review) -> bool:
    """Whether what was said of ``than`` answers what is asked of ``one``."""
    wholes = [match.distance for match in one.decision.matches if not match.part]
    claims = {match.claim for match in one.decision.matches}
    known = claims <= {match.claim for match in than.decision.matches}
    return known and alike(one.bits, than.bits, max(SAME_BITS, min(wholes, default=0)))


def _is_same_file(review: Review, other: Review) -> bool:
    known = review.upload_sha256
    return known is not None and known == other.upload_sha256
