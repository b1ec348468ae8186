"""How the relay answers, and what it writes down about that: an event, a status, a size class.

Statuses are those of craft/wire/problem.py, with HTTP's closer words for some errors. A bug is
logged with the lines of code that it passed through, never with values.
"""

import logging
import time
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
from entrenous.spec import PROTOCOL_NEWEST

Handler = Callable[[Request, Relay], Awaitable[Response]]
#: Is told of each answer: its event, its HTTP status, how long it took in seconds.
Watch = Callable[[str, int, float], None]

_STATUS: Final[Mapping[type[EntrenousError], HTTPStatus]] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    WrongToken: HTTPStatus.UNAUTHORIZED,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
}
_SPOKEN: Final = {"Entrenous-Protocol": str(PROTOCOL_NEWEST)}  # shows that a relay answers
#: What a request speaks that says nothing: before version 2, but to this address also a monitor.
_UNSAID: Final = {"/v1/status": str(PROTOCOL_NEWEST)}
_MORE_ROOM_S: Final = "600"  # an operator has to act, or a message to expire
_LOG: Final = "entrenous.relay"


def answering(
    handler: Handler, relay: Relay, watch: Watch
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a handler: whatever happens, a device gets an answer that it understands."""
    return partial(_answer, handler, relay, watch)


def unwatched(event: str, status: int, took_s: float) -> None:
    """Nobody counts."""


async def refuse(_: Request, why: Exception) -> Response:
    """The answer to an address or a method that is not in the interface."""
    status = why.status_code if isinstance(why, HTTPException) else 500
    body = b'{"type":"about:blank","title":"%s","status":%d}'
    title = HTTPStatus(status).phrase.encode()
    return Response(body % (title, status), status, dict(_SPOKEN), media_type=MEDIA_TYPE)


async def _answer(handler: Handler, relay: Relay, watch: Watch, request: Request) -> Response:
    began_s = time.perf_counter()
    try:
        _refuse_old(request, relay.limits.floor)
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
    watch(_event(handler), response.status_code, time.perf_counter() - began_s)
    return response


def _refuse_old(request: Request, floor: int) -> None:
    """Turn away whoever speaks only what this relay speaks no more, or not yet."""
    spoken = request.headers.get("entrenous-protocol", _UNSAID.get(request.url.path, "1"))
    if spoken not in {str(one) for one in range(floor, PROTOCOL_NEWEST + 1)}:
        ours = int(spoken) if spoken.isascii() and spoken.isdigit() and len(spoken) < 9 else 0
        raise ProtocolTooOld(floor=floor, newest=PROTOCOL_NEWEST, ours=ours)


def _problem(why: EntrenousError) -> Response:
    status = status_of(type(why), _STATUS)
    headers = {}
    if isinstance(why, TooMany):
        headers["Retry-After"] = str(why.facts["retry_after_s"])
    if isinstance(why, DiskFull):
        headers["Retry-After"] = _MORE_ROOM_S
    if isinstance(why, WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(write_problem(why, status), status, headers, media_type=MEDIA_TYPE)


def _log(handler: Handler, response: Response) -> None:
    log = logging.getLogger(_LOG)
    if log.isEnabledFor(logging.INFO):
        size = int(response.headers.get("content-length", 0))
        event, status, bits = _event(handler), response.status_code, size.bit_length()
        said = {"event": event, "status": status, "size_bits": bits}
        log.info("%s %d size<=2^%d", event, status, bits, extra={"said": said})


def _log_bug(handler: Handler, why: Exception) -> None:
    frames = traceback.extract_tb(why.__traceback__)
    path = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    kind = type(why).__name__
    said = {"event": "bug", "handler": _event(handler), "kind": kind, "at": path}
    words = "bug in %(handler)s: %(kind)s at %(at)s"
    logging.getLogger(_LOG).error(words, said, extra={"said": said})


def _event(handler: Handler) -> str:
    return getattr(handler, "__name__", "answer")
