"""Errors as HMA's clients expect them: a status, and ``{"message": str}``."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.craft.wire.problem import status_of
from entrenous.faces.gate.access import WrongToken
from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.body import TooLarge, TooSlow
from entrenous.faces.gate.problems import GateFault, log_bug
from entrenous.model.errors import EntrenousError, Malformed, NotFound, Refused
from entrenous.model.fingerprint import TooFlat
from entrenous.model.gate import GateBusy
from entrenous.model.picture import TooManyPixels


class BadParameter(Malformed):
    """This request cannot be understood, so nothing was done: {why}."""


class Missing(Malformed):
    """This request lacks the parameter "{name}", so nothing was done."""


class NoFetching(Malformed):
    """
    This gate fetches nothing from addresses, for that would let a stranger send it into your own
    network. Send the file itself: multipart/form-data, in a field "photo".
    """


class NoPhoto(Malformed):
    """
    There is no picture in this request. Send it as multipart/form-data, in a field "photo".
    """


class NoSuchContent(NotFound):
    """There is no content with this number in that bank."""


class BankThere(Refused):
    """A bank of this name exists already, so nothing was made."""


class NotYours(Refused):
    """{why}, so nothing was changed here."""


class TwoBanks(Refused):
    """
    Two of this gate's banks are called so in HMA's letters, so nothing was changed. Use the command
    line: entrenous gate bank
    """


class NotOffered(Refused):
    """This gate does not offer that here. {instead}"""


_STATUS: Final[Mapping[type[EntrenousError], int]] = {
    TooFlat: 400,
    WrongToken: 401,
    BankThere: 403,
    NotYours: 403,
    TooSlow: 408,
    TwoBanks: 409,
    TooLarge: 413,
    TooManyPixels: 413,
    Missing: 422,
    GateBusy: 429,
    NotOffered: 501,
}
_RETRY: Final = {"Retry-After": "5"}
_HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 429: _RETRY, 503: _RETRY}


def on_error(_request: Request, error: Exception) -> Response:
    """Our own errors say themselves what a person reads; a bug is in the server's log only."""
    own = error if isinstance(error, EntrenousError) else GateFault()
    if own is not error:
        log_bug(error)
    status = status_of(type(own), _STATUS)
    said: dict[str, Any] = {"message": " ".join(str(own).split())}
    if isinstance(own, NoSuchContent) and "next" in own.facts:
        said["next"] = own.facts["next"]
    return JSONResponse(said, status, PRIVATE | _HEADERS.get(status, {}))


def on_http_error(_request: Request, error: Exception) -> Response:
    """What the web framework refuses: no such address, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class only)
    said = {"message": HTTPStatus(error.status_code).phrase}
    return JSONResponse(said, error.status_code, PRIVATE | dict(error.headers or {}))
