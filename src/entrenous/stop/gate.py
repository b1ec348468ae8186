"""Judge an upload: let it through, hold it for a person, or refuse it (docs/spec/gate.md, 5).

A machine refuses only what a person has confirmed, or what the platform listed itself. A cut-out is
at most held, whatever the claim: that it fits by chance is likelier than for a whole picture. An
upload that cannot be read is held as well: nothing is published unseen.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from entrenous.model.bank import (
    RELEASED,
    Bank,
    Claim,
    ClaimState,
    Decision,
    Outcome,
    Review,
    ReviewState,
)
from entrenous.model.fingerprint import Match
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.picture import CutShort, DecoderGaveUp, Picture
from entrenous.ports import Platform
from entrenous.stop.look import views

CASE_BYTES: Final = 6
_STRICTNESS: Final = (Outcome.LET_THROUGH, Outcome.HOLD, Outcome.REFUSE)

Hit = tuple[Match, Claim]


def judge_upload(untrusted_data: bytes, platform: Platform) -> Decision:
    """Decode what a stranger sent, compare it with the banks, and keep the decision.

    Raises:
        NotAPicture, TooManyPixels: there is nothing to judge; refuse the upload as such.
        BankUnreachable: no decision could be made; publish nothing.
    """
    try:
        picture = platform.read_picture(untrusted_data)
    except (CutShort, DecoderGaveUp):
        return _keep(Decision(Outcome.HOLD, new_case(platform)), None, untrusted_data, platform)
    return judge_picture(picture, untrusted_data, platform)


def judge_picture(picture: Picture, untrusted_data: bytes, platform: Platform) -> Decision:
    """:func:`judge_upload` for a picture that was decoded already; its bytes go to the reviewer."""
    seen = views(picture)
    hits = best_of_each(
        [*find(seen.whole, platform, part=False), *find(seen.parts, platform, part=True)]
    )
    banks = {bank.name: bank for bank in platform.bank.banks()}
    outcome = weigh_hits(hits, banks)
    matches = tuple(match for match, _ in hits if match.bank != RELEASED)
    return _keep(
        Decision(outcome, new_case(platform), matches), seen.bits, untrusted_data, platform
    )


def find(
    views_of_upload: tuple[tuple[str, bytes], ...], platform: Platform, *, part: bool
) -> Iterator[Hit]:
    """Every claim that matches one of these views within its bank's radius, with its distance."""
    near = platform.index.near([bits for _, bits in views_of_upload], part=part)
    claims: dict[int, list[Claim]] = {}
    for entry, claim in platform.bank.claims_on({one.entry for one in near}):
        claims.setdefault(entry, []).append(claim)
    radius = {bank.name: bank.radius for bank in platform.bank.banks()}
    for one in near:
        for claim in claims.get(one.entry, ()):
            if one.distance <= radius[claim.bank]:
                how = views_of_upload[one.query][0]
                yield Match(claim.bank, claim.id, one.distance, how, part), claim


def best_of_each(hits: Iterable[Hit]) -> list[Hit]:
    """One hit per claim, a whole picture before a part, then the nearest; nearest claims first."""
    best: dict[ClaimId, Hit] = {}
    for match, claim in sorted(hits, key=lambda hit: (hit[0].part, hit[0].distance)):
        best.setdefault(claim.id, (match, claim))
    return list(best.values())


def weigh_hits(hits: list[Hit], banks: dict[BankName, Bank]) -> Outcome:
    """The strictest outcome that a hit calls for.

    A hit that only calls for holding is passed over when a reviewer let this picture through after
    that claim was made: the same question is not asked twice. A newer claim asks anew.
    """
    released = [claim.made_at for match, claim in hits if claim.bank == RELEASED]
    outcomes = [Outcome.LET_THROUGH]
    for match, claim in hits:
        outcome = called_for(match, claim, banks[claim.bank])
        answered = any(claim.made_at <= at for at in released)
        if not (outcome is Outcome.HOLD and answered):
            outcomes.append(outcome)
    return max(outcomes, key=_STRICTNESS.index)


def called_for(match: Match, claim: Claim, bank: Bank) -> Outcome:
    """What one hit calls for, by its bank's policy; a part never calls for more than holding."""
    wanted = bank.on_confirmed if claim.state is ClaimState.CONFIRMED else bank.on_claimed
    return min(wanted, Outcome.HOLD, key=_STRICTNESS.index) if match.part else wanted


def new_case(platform: Platform) -> str:
    """A case number that can be read out over a telephone, and not be guessed: "3f9a-70c2-b11e"."""
    digits = platform.dice.token(CASE_BYTES).hex()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _keep(
    decision: Decision, bits: bytes | None, untrusted_data: bytes, platform: Platform
) -> Decision:
    """Record the decision; the upload itself and its hash are kept only while it is held."""
    held = decision.outcome is Outcome.HOLD
    state = ReviewState.WAITING if held else ReviewState.CLOSED
    review = Review(decision, platform.clock.now(), state, bits if held else None)
    platform.reviews.record(review, untrusted_data if held else None)
    return decision
