"""The relay's ASGI application: its routes, and the tasks that run beside it.

The three requests that every letter needs (post, list, acknowledge) take a fast path past
Starlette's routing.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Generic, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from entrenous.base.errors import RelayClockAhead
from entrenous.base.program import this_program_version
from entrenous.carry.expire import expire_due, remove_orphan_blobs
from entrenous.carry.http import routes
from entrenous.carry.http.request_handling import (
    AnswerObserver,
    Handler,
    ReceivedRequest,
    RelayRequest,
    answer_http_error,
    answer_request,
    endpoint_for,
    ignore_metrics,
    parse_query,
)
from entrenous.carry.relay import SWEEP_INTERVAL_S, Relay
from entrenous.carry.send_tokens import UploadsInProgress
from entrenous.serving.buffered_requests import BufferedRequest, SendAnswer

AnswerT = TypeVar("AnswerT")


class EagerCoroutine(Generic[AnswerT]):
    """Runs a coroutine that must not raise, without creating a task.

    When the coroutine ends, ``on_result`` is called with its result.
    """

    __slots__ = ("_coroutine", "_on_result")

    def __init__(
        self, coroutine: Coroutine[Any, Any, AnswerT], on_result: Callable[[AnswerT], None]
    ) -> None:
        self._coroutine = coroutine
        self._on_result = on_result
        self._advance()

    def _advance(self, _: object = None) -> None:
        try:
            waits = self._coroutine.send(None)
        except StopIteration as ended:
            self._on_result(ended.value)
            return
        if waits is None:  # the coroutine yielded without a future, as asyncio.sleep(0) does
            asyncio.get_running_loop().call_soon(self._advance)
        else:
            waits._asyncio_future_blocking = False  # noqa: SLF001 -- as asyncio.Task does
            waits.add_done_callback(self._advance)


_FastHandler = Callable[[RelayRequest, Relay], Coroutine[Any, Any, Response]]
#: The handlers of the fast path, by method and by whether the path names an envelope.
_FAST_PATH_HANDLERS: Final[Mapping[tuple[str, bool], _FastHandler]] = {
    ("PUT", True): routes.post_envelope,
    ("GET", False): routes.list_envelopes,
    ("DELETE", True): routes.acknowledge_envelope,
}


class FastPathRequest:
    """A :class:`entrenous.carry.http.request_handling.RelayRequest` for the fast path."""

    __slots__ = ("_receive", "_scope", "headers", "path_params")

    def __init__(self, scope: Scope, receive: Receive, path_params: Mapping[str, Any]) -> None:
        self._scope = scope
        self._receive = receive
        self.path_params = path_params
        self.headers: Mapping[str, str] = {
            # Reversed, so that the first header of each name counts, as in Starlette.
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }

    @property
    def query_params(self) -> Mapping[str, str]:
        return parse_query(self._scope["query_string"].decode("latin-1"))

    async def stream(self) -> AsyncIterator[bytes]:
        coming = True
        while coming:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            coming = message.get("more_body", False)
            yield message.get("body", b"")


class FastPath:
    """An ASGI application that answers the three fast requests and passes all others to ``app``."""

    def __init__(self, app: ASGIApp, relay: Relay, watch: AnswerObserver) -> None:
        self._app = app
        self._relay = relay
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = _envelope_path_params(scope["path"]) if scope["type"] == "http" else None
        handler = params and _FAST_PATH_HANDLERS.get((scope["method"], "envelope" in params))
        if not params or not handler:
            await self._app(scope, receive, send)
            return
        request = FastPathRequest(scope, receive, params)
        response = await answer_request(handler, self._relay, self._watch, scope["path"], request)
        await response(scope, receive, send)

    def answer_buffered(self, request: BufferedRequest, send_answer: SendAnswer) -> bool:
        """Answer a completely received request; return False if it is not one of the three fast
        ones.
        """
        params = _envelope_path_params(request.path)
        handler = params and _FAST_PATH_HANDLERS.get((request.method, "envelope" in params))
        if not params or not handler:
            return False
        brought = ReceivedRequest(params, request.query, request.headers, request.body)
        answering = answer_request(handler, self._relay, self._watch, request.path, brought)
        EagerCoroutine(
            answering,
            lambda response: send_answer(
                response.status_code, response.raw_headers, bytes(response.body)
            ),
        )
        return True


def _envelope_path_params(path: str) -> Mapping[str, str] | None:
    """Parse ``/v1/mailboxes/{mailbox}/envelopes[/{envelope}]``; return None for any other path."""
    parts = path.split("/")
    if len(parts) not in (5, 6) or not all(parts[1:]):
        return None
    if (parts[0], parts[1], parts[2], parts[4]) != ("", "v1", "mailboxes", "envelopes"):
        return None
    names = {"mailbox": parts[3]}
    return names if len(parts) == 5 else {**names, "envelope": parts[5]}


_MAILBOX_PATH: Final = "/v1/mailboxes/{mailbox}"
_PREKEYS_PATH: Final = _MAILBOX_PATH + "/prekeys/{device}"
_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/v1/status", routes.show_status),
    ("PUT", _MAILBOX_PATH, routes.put_mailbox),
    ("DELETE", _MAILBOX_PATH, routes.delete_mailbox),
    ("PUT", _MAILBOX_PATH + "/close-lock", routes.put_close_lock),
    ("PUT", _MAILBOX_PATH + "/lock", routes.put_lock),
    ("POST", _MAILBOX_PATH + "/lock/evaluate", routes.evaluate_question),
    ("POST", _MAILBOX_PATH + "/lock/opened", routes.confirm_unlock),
    ("POST", _MAILBOX_PATH + "/lock/reset", routes.reset_lock),
    ("POST", _MAILBOX_PATH + "/lock/renew", routes.confirm_renewal),
    ("GET", _MAILBOX_PATH + "/wake", routes.wait_for_letter),
    ("PUT", _MAILBOX_PATH + "/card", routes.publish_card),
    ("GET", _MAILBOX_PATH + "/card", routes.show_card),
    ("PUT", _PREKEYS_PATH, routes.publish_prekeys),
    ("GET", _PREKEYS_PATH, routes.show_prekeys),
    ("POST", _PREKEYS_PATH + "/claim", routes.hand_out_prekeys),
    ("POST", _MAILBOX_PATH + "/tokens", routes.change_tokens),
    ("PUT", _MAILBOX_PATH + "/tokens/{lock}", routes.grant_token),
    ("DELETE", _MAILBOX_PATH + "/tokens/{lock}", routes.revoke_token),
    ("PUT", _MAILBOX_PATH + "/blobs/{blob}", routes.put_blob),
    ("GET", _MAILBOX_PATH + "/blobs/{blob}", routes.show_upload),
    ("GET", "/v1/blobs/{blob}", routes.get_blob),
    ("PUT", _MAILBOX_PATH + "/envelopes/{envelope}", routes.post_envelope),
    ("GET", _MAILBOX_PATH + "/envelopes", routes.list_envelopes),
    ("DELETE", _MAILBOX_PATH + "/envelopes/{envelope}", routes.acknowledge_envelope),
    ("POST", "/v1/shares/{envelope}/open", routes.release_share),
    ("POST", "/v1/shares/{envelope}/finish", routes.finish_share),
    ("POST", "/v1/envelopes/{envelope}/withdraw", routes.withdraw_envelope),
    ("GET", "/v1/envelopes/{envelope}/state", routes.show_state),
)


def relay_app(relay: Relay, watch: AnswerObserver = ignore_metrics) -> ASGIApp:
    """Return the relay as an ASGI application; it closes nothing that ``relay`` holds.

    ``watch`` is called for each response.
    """
    this_program_version()  # runs git, so do it now and not while requests wait
    app_routes = [
        Route(path, endpoint_for(handler, relay, watch), methods=[method])
        for method, path, handler in _ROUTES
    ]

    @contextlib.asynccontextmanager
    async def run_sweeps(_: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_sweep_every_minute(one, relay, watch))
            for one in (expire_due, remove_orphan_blobs)
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = Starlette(
        routes=app_routes,
        lifespan=run_sweeps,
        exception_handlers={HTTPException: answer_http_error},
    )
    app.router.redirect_slashes = False  # a redirect could make a client send its token elsewhere
    app.state.coming = UploadsInProgress(relay.limits.coming_bytes)
    return FastPath(app, relay, watch)


async def _sweep_every_minute(
    sweep: Callable[[Relay], Awaitable[None]], relay: Relay, watch: AnswerObserver
) -> None:
    """Call ``sweep`` every minute, even if the previous call failed; count failures with ``watch``.

    One task deletes rows, and a second task deletes the bytes of blobs, since a request to an
    unreachable bucket takes minutes to fail.
    """
    while True:
        log = logging.getLogger("entrenous.relay")
        try:
            await sweep(relay)
        except RelayClockAhead as why:
            log_fields = {"event": "clock-ahead", **why.facts}
            log.warning("clock ahead by %(days)d days", log_fields, extra={"said": log_fields})
        except Exception as why:  # noqa: BLE001 -- the next minute tries again
            watch("sweep", 500, 0.0)
            log.error(  # noqa: TRY400
                "sweep failed: %(kind)s",
                log_fields := {"event": "sweep", "kind": type(why).__name__},
                extra={"said": log_fields},
            )
        await asyncio.sleep(SWEEP_INTERVAL_S)
