"""The look at an upload by an embedding, if the platform has a network (docs/spec/gate.md, 3.2).

A network finds what no fingerprint does: a part of a picture whose owner registered no windows, a
picture that was turned or written over. It also finds what only looks alike. So a person decides.
"""

from collections.abc import Sequence
from math import acos, pi
from typing import Final

from entrenous.craft.fingerprint.embedding.squares import level_share, square, windows
from entrenous.craft.fingerprint.picture import seen_pixels
from entrenous.model.bank import RELEASED
from entrenous.model.claim import Claim
from entrenous.model.embedding import NearEmbedding
from entrenous.model.fingerprint import Match
from entrenous.model.picture import Picture
from entrenous.ports import BankStore, Likeness
from entrenous.stop.weigh import Hit

LOOKS_ALIKE: Final = "looks alike"
WHOLE_COSINE_MIN: Final = 0.5
WINDOW_COSINE_MIN: Final = 0.6
# Flat drawings look alike to a network that was taught on photographs. Chosen on the pairs of
# gate.md section 9: whole photographs lie below this share, pieces of mere sky above it, and so do
# the pieces of two drawings that were taken for each other.
LEVEL_SHARE_MAX: Final = 0.85
LEVEL_COSINE_MIN: Final = 0.7
_HALF_TURN: Final = 256  # as many hyperplanes at random would tell apart (Charikar 2002)


def alike_found(picture: Picture, likeness: Likeness, bank: BankStore) -> list[tuple[int, Hit]]:
    """Claims whose picture this upload looks like, as :func:`.deep.deep_found` gives them; each
    only calls for holding. The network is asked only where somebody has registered for it.

    Raises:
        BankUnreachable: the store does not answer.
    """
    if bank.embedding_count() == 0:
        return []
    near = _near(picture, likeness)
    claims = {(entry, claim.id): claim for entry, claim in bank.claims_on({n.entry for n in near})}
    agreed = ((one, claims.get((one.entry, one.claim))) for one in near)
    return [
        (one.entry, (_match(one, claim), claim))
        for one, claim in agreed
        if claim is not None and claim.bank != RELEASED
    ]


def angle(cosine: float) -> int:
    """The angle in 256ths of a half turn: 0 for the same numbers, 128 for unrelated pictures."""
    return round(_HALF_TURN * acos(min(1.0, max(-1.0, cosine))) / pi)


def cosines_wanted(squares: Sequence[bytes]) -> tuple[float, ...]:
    """How like a registered picture each square of an upload has to be, the first being all of it;
    one with hardly more than level areas has to be more so.
    """
    usual = (WHOLE_COSINE_MIN, *(WINDOW_COSINE_MIN for _ in squares[1:]))
    return tuple(
        LEVEL_COSINE_MIN if level_share(one) > LEVEL_SHARE_MAX else least
        for one, least in zip(squares, usual, strict=True)
    )


def _near(picture: Picture, likeness: Likeness) -> list[NearEmbedding]:
    pixels = seen_pixels(picture)
    squares = (square(pixels), *windows(pixels))
    seen = likeness.embedder.embed(squares)
    found = likeness.index.alike(seen, cosines_wanted(squares))
    return sorted(found, key=lambda one: -one.cosine)


def _match(near: NearEmbedding, claim: Claim) -> Match:
    return Match(claim.bank, claim.id, angle(near.cosine), LOOKS_ALIKE, part=True)
