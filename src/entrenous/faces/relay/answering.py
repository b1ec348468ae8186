"""How the relay answers, and what it writes down about that: an event, a status, a size class.

Statuses are those of craft/wire/problem.py, with HTTP's closer words for some errors. A bug is
logged with the lines of code that it passed through, never with values.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from entrenous.craft.wire.problem import MEDIA_TYPE, status_of, write_problem
from entrenous.model.envelope import DiskFull, ProtocolTooOld, TooLarge, TooMany, WrongToken
from entrenous.model.errors import EntrenousError
from entrenous.ports import Relay
from entrenous.spec import PROTOCOL_FLOOR, PROTOCOL_NEWEST

Handler = Callable[[Request, Relay], Awaitable[Response]]

_STATUS: Final[Mapping[type[EntrenousError], HTTPStatus]] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    WrongToken: HTTPStatus.UNAUTHORIZED,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
}
_SPOKEN: Final = {"Entrenous-Protocol": str(PROTOCOL_NEWEST)}  # shows that a relay answers
_LOG: Final = "entrenous.relay"


def answering(handler: Handler, relay: Relay) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a handler: whatever happens, a device gets an answer that it understands."""
    return partial(_answer, handler, relay)


async def refuse(_: Request, why: Exception) -> Response:
    """The answer to an address or a method that is not in the interface."""
    status = why.status_code if isinstance(why, HTTPException) else 500
    body = b'{"type":"about:blank","title":"%s","status":%d}'
    title = HTTPStatus(status).phrase.encode()
    return Response(body % (title, status), status, dict(_SPOKEN), media_type=MEDIA_TYPE)


async def _answer(handler: Handler, relay: Relay, request: Request) -> Response:
    try:
        _refuse_old(request)
        response = await handler(request, relay)
    except EntrenousError as why:
        response = _problem(why)
    except ClientDisconnect:
        response = Response(status_code=400)
    except Exception as why:  # noqa: BLE001 -- a bug must not end in a page of secrets
        _log_bug(handler, why)
        response = _problem(EntrenousError())
    response.headers.update(_SPOKEN)
    _log(handler, response)
    return response


def _refuse_old(request: Request) -> None:
    """Turn away whoever speaks only what this relay speaks no more, or not yet."""
    spoken = request.headers.get("entrenous-protocol", "1")
    if spoken not in {str(one) for one in range(PROTOCOL_FLOOR, PROTOCOL_NEWEST + 1)}:
        ours = int(spoken) if spoken.isascii() and spoken.isdigit() and len(spoken) < 9 else 0
        raise ProtocolTooOld(floor=PROTOCOL_FLOOR, newest=PROTOCOL_NEWEST, ours=ours)


def _problem(why: EntrenousError) -> Response:
    status = status_of(type(why), _STATUS)
    headers = {}
    if isinstance(why, TooMany):
        headers["Retry-After"] = str(why.facts["retry_after_s"])
    if isinstance(why, WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(write_problem(why, status), status, headers, media_type=MEDIA_TYPE)


def _log(handler: Handler, response: Response) -> None:
    log = logging.getLogger(_LOG)
    if log.isEnabledFor(logging.INFO):
        size = int(response.headers.get("content-length", 0))
        log.info("%s %d size<=2^%d", _event(handler), response.status_code, size.bit_length())


def _log_bug(handler: Handler, why: Exception) -> None:
    frames = traceback.extract_tb(why.__traceback__)
    path = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    kind = type(why).__name__
    logging.getLogger(_LOG).error("bug in %s: %s at %s", _event(handler), kind, path)


def _event(handler: Handler) -> str:
    return getattr(handler, "__name__", "answer")
