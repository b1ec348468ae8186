"""What the gate says, as JSON objects (docs/spec/gate.md section 6)."""

from typing import Any

from entrenous.faces.gate.access import Role
from entrenous.model.bank import Decision, Outcome, Review
from entrenous.model.fingerprint import Match


def decision_for(role: Role, decision: Decision, appeal_url: str) -> dict[str, Any]:
    """The operator sees outcome and matches.

    An uploader sees only whether the upload was refused: a held one is answered with the same words
    as one that was let through. What that hides, and what it does not, is in docs/spec/gate.md
    section 6.
    """
    answer: dict[str, Any] = {"schema": "entrenous/decision/1", "case": decision.case}
    if role is Role.OPERATOR:
        return answer | {
            "decision": decision.outcome,
            "matches": [match_for_operator(match) for match in decision.matches],
        }
    refused = decision.outcome is Outcome.REFUSE
    seen = Outcome.REFUSE if refused else Outcome.LET_THROUGH
    return answer | {"decision": seen, "matches": [], "appeal": _appeal(appeal_url, refused)}


def match_for_operator(match: Match) -> dict[str, Any]:
    """Bank, distance in bits, and how the upload came from the registered picture."""
    return {"bank": match.bank, "distance": match.distance, "how": match.how}


def review_for_operator(review: Review) -> dict[str, Any]:
    """A held upload, without its bytes: these are fetched by their own address."""
    return {
        "schema": "entrenous/review/1",
        "case": review.case,
        "state": review.state,
        "at": review.at.isoformat(),
        "decision": review.decision.outcome,
        "matches": [match_for_operator(match) for match in review.decision.matches],
        "upload": f"/v1/reviews/{review.case}/upload",
    }


def _appeal(url: str, refused: bool) -> str:  # noqa: FBT001 (private, named at its one call)
    where = f" here: {url}" if url else ""
    if refused:
        return (
            "This picture was not accepted, because somebody asked for it to be stopped. If you "
            f"think that is a mistake, ask for a person to look at it{where}, and give the case "
            "number."
        )
    return (
        "This picture was received. If it does not appear, you can ask for a person to look at "
        f"it{where}, and give the case number."
    )
