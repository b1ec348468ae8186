"""Errors as each protocol's clients expect them: a status, and a message in their form."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from entrenous.craft.wire.problem import status_of
from entrenous.faces.exchange.xml_text import document, element
from entrenous.model.bank import BankUnreachable
from entrenous.model.errors import EntrenousError
from entrenous.model.exchange import MayNotSubmit, NotYet, TooLong, TooManyRequests, WrongKey


class ExchangeFault(EntrenousError):
    """Something went wrong here. Nothing was changed; ask again later."""


_STATUS: Final[Mapping[type[EntrenousError], int]] = {
    WrongKey: 401,
    MayNotSubmit: 403,
    TooLong: 413,
    TooManyRequests: 429,
    NotYet: 429,  # which clients wait for, as Retry-After says
}
_RETRY: Final = "5"
PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Handlers = dict[Any, Callable[[Request, Exception], Response]]
_Say = Callable[[int, str], tuple[bytes, str]]


def in_json() -> Handlers:
    """For StopNCII's clients."""
    return _handlers(_json)


def in_xml() -> Handlers:
    """For NCMEC's."""
    return _handlers(_xml, challenge='Basic realm="exchange", charset="UTF-8"')


def _handlers(say: _Say, challenge: str = "") -> Handlers:
    def on_error(_request: Request, error: Exception) -> Response:
        own = error if isinstance(error, EntrenousError) else ExchangeFault()
        if isinstance(own, BankUnreachable):  # the database's own words are the operator's
            own = BankUnreachable(why="it is busy or stopped")
        status = status_of(type(own), _STATUS)
        body, media_type = say(status, " ".join(str(own).split()))
        headers = PRIVATE | _more(status, own, challenge)
        return Response(body, status, headers, media_type=media_type)

    def on_http_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        body, media_type = say(status, HTTPStatus(status).phrase)
        return Response(body, status, PRIVATE, media_type=media_type)

    return {
        EntrenousError: on_error,
        HTTPException: on_http_error,
        ClientDisconnect: _on_hang_up,
        Exception: on_error,
    }


def _on_hang_up(_request: Request, _error: Exception) -> Response:
    """Whoever sent this went away in the middle: no fault of ours, and nobody reads the answer."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def _more(status: int, error: EntrenousError, challenge: str) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED and challenge:
        return {"WWW-Authenticate": challenge}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return {"Retry-After": str(error.facts.get("seconds", _RETRY))}
    return {}


def _json(status: int, message: str) -> tuple[bytes, str]:
    return msgspec.json.encode({"statusCode": status, "message": message}), "application/json"


def _xml(_status: int, message: str) -> tuple[bytes, str]:
    return document("error", element("message", message)), "application/xml"
