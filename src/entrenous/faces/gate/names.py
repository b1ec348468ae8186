"""The names of claims and cases in addresses. What no name can be is not asked of the database,
which may refuse it in words of its own (PostgreSQL knows no NUL).
"""

from typing import Final

from starlette.requests import Request

from entrenous.model.claim import NoSuchClaim
from entrenous.model.ids import ClaimId
from entrenous.model.review import NoSuchReview

_CHARS_MAX: Final = 64


def claim_in(request: Request) -> ClaimId:
    """The claim that the address names; raises NoSuchClaim."""
    name = request.path_params["claim"]
    if not _may_be(name):
        raise NoSuchClaim(claim="with such a name")
    return ClaimId(name)


def case_in(request: Request) -> str:
    """The case that the address names; raises NoSuchReview."""
    return checked_case(str(request.path_params["case"]))


def checked_case(untrusted_name: str) -> str:
    """What may be a case's number; raises NoSuchReview."""
    if not _may_be(untrusted_name):
        raise NoSuchReview(case="that was given")
    return untrusted_name


def _may_be(untrusted_name: str) -> bool:
    return len(untrusted_name) <= _CHARS_MAX and untrusted_name.isprintable()
