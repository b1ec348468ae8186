"""Who decides about held uploads, as the log calls them (docs/spec/gate.md section 7, 7.1)."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.model.errors import Malformed, NotFound, Refused, Unproven

OPERATOR: Final = "operator"  # who shows the operator's token; no reviewer's name
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person with a token of their own, by the name that the operator gave them."""

    name: str
    added_at: datetime

    def __post_init__(self) -> None:
        if not may_be_reviewer(self.name):
            raise ValueError("a reviewer's name has 2 to 40 of the characters a-z, 0-9 and -")


def may_be_reviewer(name: str) -> bool:
    """Whether a reviewer can be called so."""
    return NAME.fullmatch(name) is not None and name != OPERATOR


class BadReviewerName(Malformed):
    """
    A reviewer's name has 2 to 40 of the characters a-z, 0-9 and -, begins and ends with none of the
    last, and is not "operator". This one is not, so nothing was changed.
    """


class ReviewerKnown(Refused):
    """
    There is a reviewer called {name} already, so nothing was changed. Take another name; or, for a
    new token, end the old one first: entrenous gate reviewer remove {name}
    """


class NoSuchReviewer(NotFound):
    """
    There is no reviewer called {name} here. To see who there is: entrenous gate reviewer list
    """


class WrongReviewToken(Unproven):
    """
    The gate at {url} knows no reviewer by this token, and it is not its operator's. Nothing was
    shown or changed. Whoever runs the gate makes one: entrenous gate reviewer add
    """


class SecondPersonNeeded(Refused):
    """
    Two persons have to confirm, and {reviewer} is the first one for case {case}. Nothing was
    changed: it waits for somebody else. It can be released, or the next one looked at.
    """
