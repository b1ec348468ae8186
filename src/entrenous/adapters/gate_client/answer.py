"""What a hook does with an upload, and why (docs/spec/gate.md section 6)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Said(StrEnum):
    """What happens to the upload, in the gate's own words."""

    LET_THROUGH = "let through"
    HOLD = "hold"
    REFUSE = "refuse"


class Why(StrEnum):
    """Who said so: the gate, or which of the ways in which it could not be asked."""

    GATE = "gate"  # it looked, and decided
    AWAY = "gate away"  # no connection, or it says that something failed there
    BUSY = "gate busy"  # 429: more uploads at once than it takes, or than the hook has room for
    ACCOUNT = "too many of one account"  # 429, too: as many as it looks at in an hour
    SLOW = "gate slow"  # the budget of time was over
    MALFORMED = "answer not understood"
    WRONG_TOKEN = "wrong token"  # noqa: S105 -- none at all, or the uploader's, who is not told
    TOO_LARGE = "too large"  # beyond the limit of the hook, or of the gate
    OTHER_MEDIA = "not a picture"  # video, sound, or a picture of a kind that the gate can't read
    OTHER_FILE = "not media"  # by its first bytes: a document, an archive, ciphertext
    UNREADABLE = "not readable"  # a form that can't be taken apart in one way only
    TOO_MANY = "too many files"  # in one request


_STRICTNESS: Final = (Said.LET_THROUGH, Said.HOLD, Said.REFUSE)
#: What calls for the operator's eye: something does not work.
FAILURES: Final = frozenset(
    (Why.AWAY, Why.BUSY, Why.SLOW, Why.MALFORMED, Why.WRONG_TOKEN),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One upload's answer.

    ``case`` is the gate's number for it, empty when it gave none, and ``secret`` what the uploader
    needs besides to appeal. ``would``: what the gate's banks in shadow would have done. ``shadow``:
    the hook only asked and logged, and ``said`` must not be acted upon (see :attr:`acts`).
    ``again_s``: so many seconds later the gate looks at uploads of this account again.
    """

    said: Said
    why: Why = Why.GATE
    case: str = ""
    shadow: bool = False
    would: Said | None = None
    secret: str = field(default="", repr=False)
    again_s: int | None = None

    @property
    def acts(self) -> Said:
        """What is to be done: as was said, but in shadow mode always to let through."""
        return Said.LET_THROUGH if self.shadow else self.said


def strictest(answers: Iterable[Answer]) -> Answer | None:
    """The answer for a request that brought several uploads; None for none."""
    return max(answers, key=lambda one: _STRICTNESS.index(one.said), default=None)
