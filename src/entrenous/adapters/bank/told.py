"""What the log says of a change: one place, so that every store tells it alike."""

from typing import Final

from entrenous.model.audit import Details
from entrenous.model.bank import Bank
from entrenous.model.claim import Claim
from entrenous.model.ids import ClaimId
from entrenous.model.opinion import Opinion, Partner
from entrenous.model.review import Found, Review, ReviewState

LATE_TOLD: Final = {
    Found.LOOK_BACK: "case looked back at",
    Found.SLOW_LOOK: "case found slowly",
}

FITS_MORE_TOLD: Final = "case fits more"

Told = tuple[str, str, Details]  # what, of which, details


def bank_told(bank: Bank) -> Told:
    """A bank was made, or its policy changed."""
    policy: Details = {
        "radius": bank.radius,
        "on_claimed": str(bank.on_claimed),
        "on_confirmed": str(bank.on_confirmed),
        "shadow": bank.shadow,
    }
    return "bank set", bank.name, policy


def claim_told(claim: Claim) -> Told:
    """A claim was made. Its fingerprint and its holder's token are not in the log."""
    return "claim registered", claim.id, {"bank": claim.bank, "state": str(claim.state)}


def note_told(claim: ClaimId) -> Told:
    """The platform wrote another reason to a claim that it listed."""
    return "claim noted", claim, {}


def move_told(claim: Claim) -> Told:
    """A claim is in another state."""
    return f"claim {claim.state}", claim.id, {}


def dispute_told(claim: Claim) -> Told:
    """One more reviewer disagreed."""
    return "claim disputed", claim.id, {"disputes": claim.disputes}


def opinion_told(opinion: Opinion) -> Told:
    """A platform said something of a claim."""
    said = {"opinion": str(opinion.stance), "key": opinion.key.hex()}
    return "opinion", opinion.claim, said


def partner_told(partner: Partner) -> Told:
    """A platform is known now."""
    return "partner added", partner.key.hex(), {"name": partner.name}


def unkept_told(case: str, size: int) -> Told:
    """An upload waits without its bytes: too many that cannot be read wait, or the disk is full."""
    return "upload not kept", case, {"bytes": size}


def review_told(review: Review, state: ReviewState, by: str) -> Told:
    """A person decided; others that waited with it are counted. Who confirmed first is named, if
    two had to.
    """
    decided: Details = {"also": len(review.also), "by": by}
    if review.first_confirmer:
        decided = {**decided, "first": review.first_confirmer}
    return f"case {state}", review.case, decided


def first_told(case: str, by: str) -> Told:
    """A person confirmed, and another one has to."""
    return "case confirmed first", case, {"by": by}


def flood_told(lead: str, uploads: int) -> Told:
    """So many uploads wait as one item from now on."""
    return "cases gathered", lead, {"uploads": uploads}


def reviewer_told(what: str, name: str) -> Told:
    """A reviewer was "added" or "removed"."""
    return f"reviewer {what}", name, {}
