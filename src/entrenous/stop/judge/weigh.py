"""Weigh an upload's matches: which of them count, and what they call for (docs/spec/gate.md, 5)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_RADIUS
from entrenous.fingerprint.nouns import Match
from entrenous.stop.nouns import RELEASED, SAME_BITS, Bank
from entrenous.stop.registration import Claim, ClaimState
from entrenous.stop.upload_record import Decision, Outcome, Release

INSIDE: Final = "in a larger picture"
_STRICTNESS: Final = (Outcome.LET_THROUGH, Outcome.HOLD, Outcome.REFUSE)
Hit = tuple[Match, Claim]


def how_found(how: str, claim: Claim) -> str:
    """``how``, and that it was found by a larger picture which a reviewer saw: the claim counts as
    waiting on its hash, whatever it is.
    """
    of_larger = claim.added and claim.state is ClaimState.WAITING
    return f"{how}, {INSIDE}" if of_larger else how


def best_of_each(hits: Iterable[Hit]) -> list[Hit]:
    """One hit per claim, to be shown: a whole picture before a part, then what its owner registered
    before what a reviewer added, then the nearest; of these hits the nearest first.
    """
    best: dict[ClaimId, Hit] = {}
    for match, claim in sorted(hits, key=_rank):
        best.setdefault(claim.id, (match, claim))
    return sorted(best.values(), key=lambda hit: (hit[0].part, hit[0].distance))


def _rank(hit: Hit) -> tuple[bool, bool, int]:
    match, _ = hit
    return match.part, match.added, match.distance


def best_entry(found: list[tuple[int, Hit]]) -> int | None:
    """The registered hash that an upload fits best: by this one a flood is counted."""
    asked = [one for one in found if one[1][0].bank != RELEASED]
    best = min(asked, key=lambda one: (one[1][0].part, one[1][0].distance, one[0]), default=None)
    return None if best is None else best[0]


def decision_of(
    hits: list[Hit], banks: dict[BankName, Bank], released: Sequence[Release] = ()
) -> Decision:
    """What these hits call for, those of banks in shadow apart; without a case number. All hits are
    weighed, not the best of each claim: what a release answered of one is not answered of another.

    ``released`` is that a reviewer let this very file through.
    """
    live = [hit for hit in hits if not banks[hit[0].bank].shadow]
    acting = weigh_hits(live, banks, released)
    would = weigh_hits(hits, banks, released)
    matches = tuple(match for match, _ in best_of_each(hits) if match.bank != RELEASED)
    return Decision(acting, "", matches, None if would is acting else would)


def in_shadow(decision: Decision) -> Decision:
    """What a gate in shadow answers: let through, and what it would have done."""
    if decision.outcome is Outcome.LET_THROUGH:
        return decision
    would = decision.would or decision.outcome
    return replace(decision, outcome=Outcome.LET_THROUGH, would=would)


def weigh_hits(
    hits: list[Hit], banks: dict[BankName, Bank], released: Sequence[Release] = ()
) -> Outcome:
    """The strictest outcome that a hit calls for, but for those that a person :func:`answered`."""
    releases = [*released, *(release_of(*hit) for hit in hits if hit[0].bank == RELEASED)]
    outcomes, nearest = [Outcome.LET_THROUGH], _nearest_registered(hits)
    fit_whole = {claim.id for match, claim in hits if not match.part}
    for match, claim in hits:
        if match.part and claim.id in fit_whole:
            continue
        outcome = called_for(match, claim, banks[claim.bank])
        if match.added and match.distance > max(nearest.get(claim.id, PDQ_RADIUS), SAME_BITS):
            outcome = min(outcome, Outcome.HOLD, key=_STRICTNESS.index)
        if not answered(outcome, match, claim, releases):
            outcomes.append(outcome)
    return max(outcomes, key=_STRICTNESS.index)


def _nearest_registered(hits: Iterable[Hit]) -> dict[ClaimId, int]:
    """How near an upload lies to what owners registered, by claim, in whole. If that is nearer than
    what a reviewer confirmed, it is not that upload which they saw: something was pasted in there.
    """
    nearest: dict[ClaimId, int] = {}
    for match, claim in hits:
        if not (match.part or match.added):
            nearest[claim.id] = min(match.distance, nearest.get(claim.id, match.distance))
    return nearest


def release_of(match: Match, claim: Claim) -> Release:
    """What a hit in the bank of released uploads says."""
    return Release(claim.made_at, claim.confirmed, match.distance)


def answered(outcome: Outcome, match: Match, claim: Claim, releases: Iterable[Release]) -> bool:
    """Whether what this hit calls for is passed over, for a reviewer let the picture through.

    The same question is not asked twice: holding ends with a release after the claim was made, and
    a newer claim asks anew. Refusing ends with one after the claim was confirmed, for then the last
    person to decide let it through. Neither does for what lies nearer to the claim than to what was
    released: a version with a part covered is rightly released, and the picture itself is not it.
    How near a part lies says nothing of the whole, so there it has to be nearly what was released.
    """
    near = SAME_BITS if match.part else max(match.distance, SAME_BITS)
    like_it = [one for one in releases if one.distance <= near]
    if outcome is Outcome.REFUSE:
        return any(claim.confirmed < one.number for one in like_it)
    return any(claim.made_at <= one.at for one in like_it)


def called_for(match: Match, claim: Claim, bank: Bank) -> Outcome:
    """What one hit calls for, by its bank's policy; a part never calls for more than holding."""
    wanted = wanted_by(claim, bank)
    return min(wanted, Outcome.HOLD, key=_STRICTNESS.index) if match.part else wanted


def asks(claim: Claim, bank: Bank) -> bool:
    """Whether of an upload that fits it, in whole or in part, a person would have been asked, or a
    machine have refused it, had the claim or the look come in time.
    """
    return not bank.shadow and wanted_by(claim, bank) is not Outcome.LET_THROUGH


def asked_about(
    found: Iterable[tuple[int, Hit]], banks: dict[BankName, Bank]
) -> list[tuple[int, Hit]]:
    """Those of the hits that :func:`asks` is true of."""
    return [(entry, hit) for entry, hit in found if asks(hit[1], banks[hit[1].bank])]


def wanted_by(claim: Claim, bank: Bank) -> Outcome:
    """What a bank does with an upload that is what this claim is about."""
    return bank.on_confirmed if claim.state is ClaimState.CONFIRMED else bank.on_claimed
