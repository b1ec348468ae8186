"""Errors as problem documents (craft/wire/problem.py), with HTTP's closer words for some."""

import logging
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from entrenous.craft.wire.problem import MEDIA_TYPE, status_of, write_problem
from entrenous.faces.gate.access import GateAccess, WrongToken, is_operator
from entrenous.faces.gate.accounts import TooManyUploads
from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.body import NotMedia, TooLarge, TooSlow
from entrenous.model.bank import BankUnreachable
from entrenous.model.clip import FramesTooLarge
from entrenous.model.errors import EntrenousError
from entrenous.model.gate import GateBusy
from entrenous.model.picture import NotAPicture, TooManyPixels
from entrenous.model.sound import NotASound

_STATUS: Final[Mapping[type[EntrenousError], int]] = {
    WrongToken: 401,
    TooSlow: 408,
    TooLarge: 413,
    TooManyPixels: 413,
    FramesTooLarge: 413,
    NotMedia: 415,
    NotAPicture: 415,
    NotASound: 415,
    GateBusy: 429,
    TooManyUploads: 429,
}
_RETRY_AFTER_S: Final = 5
_LOG: Final = logging.getLogger("entrenous.gate")


class GateFault(EntrenousError):
    """
    Something went wrong here. Nothing was published; try again later.
    """


def on_error(access: GateAccess) -> Callable[[Request, Exception], Response]:
    """Our own errors say themselves what a person reads; what the database said is for the
    operator only.
    """

    def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, EntrenousError)  # noqa: S101 (registered for this family only)
        if isinstance(error, BankUnreachable) and not is_operator(request, access):
            return _problem(BankUnreachable(why="it is busy or stopped"))
        return _problem(error)

    return answer


def on_http_error(_request: Request, error: Exception) -> Response:
    """What the web framework refuses: no such address, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class only)
    title = HTTPStatus(error.status_code).phrase
    body = {"type": "about:blank", "title": title, "status": error.status_code}
    said = msgspec.json.encode(body)
    headers = PRIVATE | dict(error.headers or {})
    return Response(said, error.status_code, headers, media_type=MEDIA_TYPE)


def on_hang_up(_request: Request, _error: Exception) -> Response:
    """Whoever sent this went away in the middle: no fault of ours, and nobody reads the answer."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def on_bug(_request: Request, error: Exception) -> Response:
    """Ours; the server's log has it, the answer does not."""
    log_bug(error)
    return _problem(GateFault())


def log_bug(error: Exception) -> None:
    """Its kind and the lines of code that it passed through, never values."""
    frames = traceback.extract_tb(error.__traceback__)
    path = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    said = {"event": "bug", "kind": type(error).__name__, "at": path}
    _LOG.error("bug: %(kind)s at %(at)s", said, extra={"said": said})


def _problem(error: EntrenousError) -> Response:
    status = status_of(type(error), _STATUS)
    body = write_problem(error, status)
    return Response(body, status, PRIVATE | _headers(status, error), media_type=MEDIA_TYPE)


def _headers(status: int, error: EntrenousError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status in {429, 503}:
        return {"Retry-After": str(error.facts.get("retry_after_s", _RETRY_AFTER_S))}
    return {}
