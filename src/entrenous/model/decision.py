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


class Publishes(StrEnum):
    """Which uploads a platform publishes although the gate says otherwise; it says so beforehand,
    so that the gate lists them (docs/spec/gate.md section 6.4).
    """

    NOTHING = "nothing"  # what is held waits, and what is refused is refused
    HELD = "held"  # what fits a claim and is held: the platform has no place where it could wait
    ALL = "all"  # whatever the gate says: the hook is in shadow


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an upload, and why. ``case`` is the number to quote when asking again.

    ``would`` is what banks in shadow would have done, None if nothing stricter. ``secret`` opens an
    appeal; only its SHA-256 is kept. ``listed``: the platform publishes it all the same, so it
    waits for a person and is listed as published.
    """

    outcome: Outcome
    case: str
    matches: tuple[Match, ...] = ()
    would: Outcome | None = None
    secret: Secret | None = field(default=None, compare=False)
    listed: bool = False
