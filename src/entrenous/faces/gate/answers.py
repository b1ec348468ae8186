"""What the gate says, as JSON objects (docs/spec/gate.md section 6)."""

from collections.abc import Mapping
from typing import Any, Final

from entrenous.craft.wire.b64u import b64u
from entrenous.faces.gate.access import Role
from entrenous.model.decision import Decision, Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.opinion import ClaimFacts, Stance
from entrenous.model.review import Review

PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def decision_for(role: Role, decision: Decision, appeal_url: str) -> dict[str, Any]:
    """The operator sees outcome and matches.

    An uploader sees only whether the upload was refused: a held one is answered with the same words
    as one that was let through. What that hides, and what it does not, is in docs/spec/gate.md
    section 6.
    """
    answer: dict[str, Any] = {"schema": "entrenous/decision/1", "case": decision.case}
    if decision.secret is not None:
        answer["secret"] = b64u(decision.secret.reveal())
    if role is Role.OPERATOR:
        shadow = {} if decision.would is None else {"shadow": decision.would}
        published = {"published": True} if decision.listed else {}
        return (
            answer
            | shadow
            | published
            | {
                "decision": decision.outcome,
                "matches": [match_for_operator(match) for match in decision.matches],
            }
        )
    refused = decision.outcome is Outcome.REFUSE
    seen = Outcome.REFUSE if refused else Outcome.LET_THROUGH
    return answer | {"decision": seen, "matches": [], "appeal": _appeal(appeal_url, refused)}


def match_for_operator(match: Match) -> dict[str, Any]:
    """Bank, distance in bits, and how the upload came from the registered picture."""
    return {"bank": match.bank, "distance": match.distance, "how": match.how}


def review_for_operator(review: Review, facts: Mapping[ClaimId, ClaimFacts]) -> dict[str, Any]:
    """A judged upload, with what a person decides by, and without its bytes: these are fetched by
    their own address.
    """
    return {
        "schema": "entrenous/review/1",
        "case": review.case,
        "state": review.state,
        "at": review.at.isoformat(),
        "decision": review.decision.outcome,
        "matches": [_match_in_review(match, facts) for match in review.decision.matches],
        "found": review.found,
        "reference": review.reference,
        "gathered": review.gathered,
        "view": f"/v1/reviews/{review.case}/view" if review.has_bytes else None,
        "upload": f"/v1/reviews/{review.case}/upload" if review.has_bytes else None,
        "first_confirmer": review.first_confirmer or None,
    }


def _match_in_review(match: Match, facts: Mapping[ClaimId, ClaimFacts]) -> dict[str, Any]:
    """Besides, which claim it is, how that stands now, why it was made, and what others say."""
    shown = match_for_operator(match) | {"claim": match.claim}
    if match.claim not in facts:
        return shown
    known = facts[match.claim]
    reason = {"reason": known.claim.reason} if known.claim.reason else {}
    said = {stance: known.opinions.get(stance, 0) for stance in Stance}
    return shown | {"state": known.claim.state} | reason | {"opinions": said}


def appeal_answer(case: str) -> dict[str, Any]:
    """The same, whatever became of the upload."""
    return {"schema": "entrenous/appeal/1", "case": case, "state": "waiting"}


def _appeal(url: str, refused: bool) -> str:  # noqa: FBT001 (private, named at its one call)
    where = f" here: {url}" if url else ""
    if refused:
        return (
            "This upload was not accepted, because somebody asked for it to be stopped. If you "
            f"think that is a mistake, ask for a person to look at it{where}, and give the case "
            "number."
        )
    return (
        "This upload was received. If it does not appear, you can ask for a person to look at "
        f"it{where}, and give the case number."
    )
