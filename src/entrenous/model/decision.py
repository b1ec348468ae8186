"""What happens to an upload, and why (docs/spec/gate.md section 5)."""

from dataclasses import dataclass, field
from enum import StrEnum

from entrenous.model.fingerprint import Match
from entrenous.model.secret import Secret


class Outcome(StrEnum):
    """What happens to an upload, from mildest to strictest."""

    LET_THROUGH = "let through"
    HOLD = "hold"  # not published until a person has looked
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an upload, and why. ``case`` is the number to quote when asking again.

    ``would`` is what banks in shadow would have done, None if nothing stricter. ``secret`` opens an
    appeal; only its SHA-256 is kept.
    """

    outcome: Outcome
    case: str
    matches: tuple[Match, ...] = ()
    would: Outcome | None = None
    secret: Secret | None = field(default=None, compare=False)
