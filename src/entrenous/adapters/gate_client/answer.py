"""What a hook does with an upload, and why (docs/spec/gate.md section 6)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
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
    ``listed``: the gate knows that this platform publishes it all the same, and lists it so.
    ``also``: the numbers of what else came with the same request.
    ``again_s``: so many seconds later the gate looks at uploads of this account again.
    """

    said: Said
    why: Why = Why.GATE
    case: str = ""
    shadow: bool = False
    would: Said | None = None
    secret: str = field(default="", repr=False)
    again_s: int | None = None
    listed: bool = False
    also: tuple[str, ...] = ()

    @property
    def acts(self) -> Said:
        """What is to be done: as was said, but to let through in shadow mode, and what is held and
        listed as published.
        """
        passes = self.shadow or (self.listed and self.said is Said.HOLD)
        return Said.LET_THROUGH if passes else self.said


def strictest(answers: Iterable[Answer]) -> Answer | None:
    """The answer for a request that brought several uploads, with the cases of the others; None for
    none.
    """
    every = tuple(answers)
    if not every:
        return None
    which = max(range(len(every)), key=lambda at: _strictness(every[at]))
    also = tuple(one.case for at, one in enumerate(every) if at != which and one.case)
    return replace(every[which], also=also) if also else every[which]


def _strictness(answer: Answer) -> tuple[int, int]:
    """What is to be done comes first: one that is to be held is not outweighed by one that passes
    although it is held.
    """
    return _STRICTNESS.index(answer.acts), _STRICTNESS.index(answer.said)
