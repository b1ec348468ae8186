"""Convert errors to and from problem details (RFC 9457), the form in which servers send them."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import msgspec

from entrenous.base.errors import EntrenousError
from entrenous.base.language import ENGLISH, speaking

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_STATUS_BY_FAMILY: Final[Mapping[str, int]] = {
    "refused": 409,
    "not-found": 404,
    "unproven": 422,
    "unreachable": 503,
    "malformed": 400,
    "bug": 500,
}


class _Problem(msgspec.Struct, frozen=True):
    type: str
    title: str
    status: int
    detail: str = ""
    facts: dict[str, int | datetime] = {}


def urn_of(kind: type[EntrenousError]) -> str:
    """Return an error's name on the wire, e.g. ``urn:entrenous:refused:used-up``."""
    return f"urn:entrenous:{kind.family}:{_kebab_case(kind)}"


def status_of(
    kind: type[EntrenousError], statuses_by_class: Mapping[type[EntrenousError], int] | None = None
) -> int:
    """Return the HTTP status for an error class.

    ``statuses_by_class`` has statuses for some classes. If it has a status for the class itself or
    for one of its base classes, the status of the nearest one is returned. Otherwise the error's
    family determines the status.
    """
    known = statuses_by_class or {}
    by_class = (known[ancestor] for ancestor in kind.__mro__ if ancestor in known)
    return next(by_class, _STATUS_BY_FAMILY[kind.family])


def write_problem(error: EntrenousError, status: int) -> bytes:
    """Encode an error as a problem document.

    Only facts that are numbers or times are included.
    """
    facts = {name: fact for name, fact in error.facts.items() if isinstance(fact, int | datetime)}
    title = _kebab_case(type(error)).replace("-", " ").capitalize()
    with speaking(ENGLISH):
        detail = str(error)
    return msgspec.json.encode(_Problem(urn_of(type(error)), title, status, detail, facts))


def read_problem(
    untrusted_body: bytes, known: Collection[type[EntrenousError]]
) -> EntrenousError | None:
    """Return the error that a problem document names.

    Return None if the document is malformed, or if no class in ``known`` has that name.

    Only the document's type and facts are used. The error's message is this program's own, not the
    server's.
    """
    try:
        problem = msgspec.json.decode(untrusted_body, type=_Problem)
        kind = {urn_of(kind): kind for kind in known}[problem.type]
        error = kind(**problem.facts)
        str(error)
    except (msgspec.MsgspecError, RecursionError, ValueError, LookupError, TypeError):
        return None
    return error


def _kebab_case(kind: type[EntrenousError]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", kind.__name__).lower()
