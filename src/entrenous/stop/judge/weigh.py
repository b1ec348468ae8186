"""Weigh an upload's matches and decide its outcome (docs/spec/gate.md, 5)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_RADIUS_BITS
from entrenous.fingerprint.nouns import Match
from entrenous.stop.nouns import RELEASED_BANK, SAME_PICTURE_BITS_MAX, Bank
from entrenous.stop.registration import Claim, ClaimState
from entrenous.stop.upload_record import Decision, Outcome, Release

IN_LARGER_PICTURE_EDIT: Final = "in a larger picture"
_OUTCOMES_BY_STRICTNESS: Final = (Outcome.LET_THROUGH, Outcome.HOLD, Outcome.REFUSE)
Hit = tuple[Match, Claim]


def with_larger_picture_note(how: str, claim: Claim) -> str:
    """Return ``how``, with a note if the hash was added by a reviewer who confirmed a larger
    picture.

    The registered picture is only a part of that larger picture. A match with the larger picture's
    hash is therefore treated as a match with an unconfirmed claim.
    """
    on_larger = claim.added and claim.state is ClaimState.WAITING
    return f"{how}, {IN_LARGER_PICTURE_EDIT}" if on_larger else how


def best_hit_of_each_claim(hits: Iterable[Hit]) -> list[Hit]:
    """Return the best hit of each claim, for display: whole pictures before parts, nearest first.

    A hit of a whole picture is better than a hit of a part. A hash that the owner registered is
    better than a hash that a reviewer added. Otherwise, the nearer hit is better.
    """
    best: dict[ClaimId, Hit] = {}
    for match, claim in sorted(hits, key=_hit_rank):
        best.setdefault(claim.id, (match, claim))
    return sorted(best.values(), key=lambda hit: (hit[0].part, hit[0].distance))


def _hit_rank(hit: Hit) -> tuple[bool, bool, int]:
    match, _ = hit
    return match.part, match.added, match.distance


def entry_to_count_floods_by(found: list[tuple[int, Hit]]) -> int | None:
    """Return the number of the best-matching registered hash. Floods (many uploads that match one
    registered hash) are counted by that number.
    """
    claimed = [one for one in found if one[1][0].bank != RELEASED_BANK]
    best = min(claimed, key=lambda one: (one[1][0].part, one[1][0].distance, one[0]), default=None)
    return None if best is None else best[0]


def decision_of(
    hits: list[Hit], banks: dict[BankName, Bank], released: Sequence[Release] = ()
) -> Decision:
    """Decide by all hits, and return a decision without a case number.

    Hits of banks in shadow mode, whose outcomes are only recorded, change ``would`` but not the
    outcome.

    Every hit is weighed, not only the best of each claim, because a release may overrule one hit of
    a claim and not another. ``released`` has releases of this exact file.
    """
    live = [hit for hit in hits if not banks[hit[0].bank].shadow]
    acting = strictest_outcome(live, banks, released)
    would = strictest_outcome(hits, banks, released)
    matches = tuple(
        match for match, _ in best_hit_of_each_claim(hits) if match.bank != RELEASED_BANK
    )
    return Decision(acting, "", matches, None if would is acting else would)


def as_shadow_decision(decision: Decision) -> Decision:
    """Return the answer of a gate in shadow mode: let through, with the stricter outcome as
    ``would``.
    """
    if decision.outcome is Outcome.LET_THROUGH:
        return decision
    would = decision.would or decision.outcome
    return replace(decision, outcome=Outcome.LET_THROUGH, would=would)


def strictest_outcome(
    hits: list[Hit], banks: dict[BankName, Bank], released: Sequence[Release] = ()
) -> Outcome:
    """Return the strictest outcome of these hits, without those that a release overrules."""
    releases = [
        *released,
        *(release_from_hit(*hit) for hit in hits if hit[0].bank == RELEASED_BANK),
    ]
    outcomes, nearest = [Outcome.LET_THROUGH], _least_registered_distances(hits)
    fit_whole = {claim.id for match, claim in hits if not match.part}
    for match, claim in hits:
        if match.part and claim.id in fit_whole:
            continue
        outcome = hit_outcome(match, claim, banks[claim.bank])
        if match.added and match.distance > max(
            nearest.get(claim.id, PDQ_RADIUS_BITS), SAME_PICTURE_BITS_MAX
        ):
            outcome = min(outcome, Outcome.HOLD, key=_OUTCOMES_BY_STRICTNESS.index)
        if not is_overruled_by_release(outcome, match, claim, releases):
            outcomes.append(outcome)
    return max(outcomes, key=_OUTCOMES_BY_STRICTNESS.index)


def _least_registered_distances(hits: Iterable[Hit]) -> dict[ClaimId, int]:
    """Return, by claim, an upload's distance from the whole pictures that owners registered.

    If the upload is nearer to a registered picture than to the hash that a reviewer added, it is
    the registered picture and not the edited upload that the reviewer saw.
    """
    nearest: dict[ClaimId, int] = {}
    for match, claim in hits:
        if not (match.part or match.added):
            nearest[claim.id] = min(match.distance, nearest.get(claim.id, match.distance))
    return nearest


def release_from_hit(match: Match, claim: Claim) -> Release:
    """Return the release that a hit in the bank "released" stands for."""
    return Release(claim.made_at, claim.confirmed, match.distance)


def is_overruled_by_release(
    outcome: Outcome, match: Match, claim: Claim, releases: Iterable[Release]
) -> bool:
    """Return whether a hit's outcome is dropped because a reviewer released the picture.

    Releases save reviewers from being asked the same question twice. An outcome "hold" is dropped
    by a release newer than the claim, so a newer claim holds the upload again. An outcome "refuse"
    is dropped by a release newer than the claim's confirmation, because the newest decision counts.
    A release does not apply to an upload that is more than 4 bits from the released upload and
    nearer to the claim: a version with a part hidden may be harmless while the picture itself is
    not. For a partial match, the distance says nothing about the whole, so the upload must be
    nearly identical to the released one.
    """
    near = SAME_PICTURE_BITS_MAX if match.part else max(match.distance, SAME_PICTURE_BITS_MAX)
    similar = [one for one in releases if one.distance <= near]
    if outcome is Outcome.REFUSE:
        return any(claim.confirmed < one.number for one in similar)
    return any(claim.made_at <= one.at for one in similar)


def hit_outcome(match: Match, claim: Claim, bank: Bank) -> Outcome:
    """Return the outcome of one hit by its bank's policy; for a match with only a part, at most
    hold.
    """
    wanted = policy_outcome(claim, bank)
    return min(wanted, Outcome.HOLD, key=_OUTCOMES_BY_STRICTNESS.index) if match.part else wanted


def needs_action(claim: Claim, bank: Bank) -> bool:
    """Return whether the bank is not in shadow mode and holds or refuses uploads that match this
    claim.
    """
    return not bank.shadow and policy_outcome(claim, bank) is not Outcome.LET_THROUGH


def hits_needing_action(
    found: Iterable[tuple[int, Hit]], banks: dict[BankName, Bank]
) -> list[tuple[int, Hit]]:
    """Return the hits for which :func:`needs_action` is true."""
    return [(entry, hit) for entry, hit in found if needs_action(hit[1], banks[hit[1].bank])]


def policy_outcome(claim: Claim, bank: Bank) -> Outcome:
    """Return the bank's outcome for an upload that is the content of this claim."""
    return bank.on_confirmed if claim.state is ClaimState.CONFIRMED else bank.on_claimed


def matches_to_review(
    found: Iterable[tuple[int, Hit]], banks: dict[BankName, Bank]
) -> tuple[tuple[Match, ...], int] | None:
    """Return the best match of each claim, to show to a reviewer, and the number of the hash by
    which floods (many uploads that match one hash) are counted.

    Return None if no hit needs action.
    """
    acting_hits = hits_needing_action(found, banks)
    entry = entry_to_count_floods_by(acting_hits)
    if entry is None:
        return None
    return tuple(match for match, _ in best_hit_of_each_claim(hit for _, hit in acting_hits)), entry
