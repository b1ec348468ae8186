"""Errors as RFC 9457 problem documents; one table turns families into statuses."""

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.faces.gate.access import WrongToken
from entrenous.faces.gate.body import NotMedia, TooLarge, TooSlow
from entrenous.model.bank import GateBusy
from entrenous.model.errors import EntrenousError
from entrenous.model.picture import NotAPicture, TooManyPixels

STATUS_BY_FAMILY: Final[Mapping[str, int]] = {
    "refused": 409,
    "not-found": 404,
    "unproven": 422,
    "unreachable": 503,
    "malformed": 400,
    "bug": 500,
}
# HTTP has closer words for these.
_STATUS: Final[Mapping[type[EntrenousError], int]] = {
    WrongToken: 401,
    TooSlow: 408,
    TooLarge: 413,
    TooManyPixels: 413,
    NotMedia: 415,
    NotAPicture: 415,
    GateBusy: 429,
}
_RETRY: Final = {"Retry-After": "5"}
_HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 429: _RETRY, 503: _RETRY}


def problem(
    status: int, name: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem document; ``name`` tells machines what happened, ``detail`` people."""
    content: dict[str, Any] = {
        "type": f"urn:entrenous:problem:{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def on_error(_request: Request, error: Exception) -> Response:
    """Our own errors say themselves what a person reads."""
    assert isinstance(error, EntrenousError)  # noqa: S101 (registered for this family only)
    status = _STATUS.get(type(error)) or STATUS_BY_FAMILY[error.family]
    return problem(status, name_of(error), str(error), _HEADERS.get(status))


def on_http_error(_request: Request, error: Exception) -> Response:
    """What the web framework refuses: no such address, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class only)
    name = error.detail.lower().replace(" ", "-")
    return problem(error.status_code, name, f"{error.detail}.", error.headers)


def on_bug(_request: Request, _error: Exception) -> Response:
    """Ours; the server's log has it, the answer does not."""
    return problem(500, "bug", "Something went wrong here. Nothing was published; try again later.")


def name_of(error: EntrenousError) -> str:
    """The error's class as words with hyphens: "too-flat"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
