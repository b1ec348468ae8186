"""The three requests that a letter costs, past the routes: posted, listed, acknowledged.

They are most of what a busy relay is asked. Their handlers are those of envelopes.py, so their
answers are the same; only Starlette's request and its search among all routes are left out, which
together cost more than the rules. Whatever is not exactly one of the three goes on to the routes.
One that came whole is answered without a task as well (adapters/http_whole.py).
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrenous.adapters.http_whole import Tell, Whole
from entrenous.faces.relay import envelopes
from entrenous.faces.relay.answering import Watch, answer
from entrenous.faces.relay.asking import Asking, Brought, query_of
from entrenous.faces.relay.running import Running
from entrenous.ports import Relay

_Quick = Callable[[Asking, Relay], Coroutine[Any, Any, Response]]

#: By method, and by whether an envelope is named.
_HANDLERS: Final[Mapping[tuple[str, bool], _Quick]] = {
    ("PUT", True): envelopes.post_envelope,
    ("GET", False): envelopes.list_envelopes,
    ("DELETE", True): envelopes.acknowledge_envelope,
}


class Asked:
    """An :class:`entrenous.faces.relay.asking.Asking` for one of the three."""

    __slots__ = ("_receive", "_scope", "headers", "path_params")

    def __init__(self, scope: Scope, receive: Receive, path_params: Mapping[str, Any]) -> None:
        self._scope = scope
        self._receive = receive
        self.path_params = path_params
        self.headers: Mapping[str, str] = {
            # The first of a name counts, as in Starlette.
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }

    @property
    def query_params(self) -> Mapping[str, str]:
        """What stands behind the question mark; the last of a name counts."""
        return query_of(self._scope["query_string"].decode("latin-1"))

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises ClientDisconnect."""
        coming = True
        while coming:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            coming = message.get("more_body", False)
            yield message.get("body", b"")


class Quick:
    """An ASGI application in front of ``app``, which gets all that is not one of the three."""

    def __init__(self, app: ASGIApp, relay: Relay, watch: Watch) -> None:
        self._app = app
        self._relay = relay
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        params = _named(scope["path"]) if scope["type"] == "http" else None
        handler = params and _HANDLERS.get((scope["method"], "envelope" in params))
        if not params or not handler:
            await self._app(scope, receive, send)
            return
        asked = Asked(scope, receive, params)
        response = await answer(handler, self._relay, self._watch, scope["path"], asked)
        await response(scope, receive, send)

    def answer_whole(self, asked: Whole, tell: Tell) -> bool:
        """Answer one that came whole, if it is one of the three."""
        params = _named(asked.path)
        handler = params and _HANDLERS.get((asked.method, "envelope" in params))
        if not params or not handler:
            return False
        brought = Brought(params, asked.query, asked.headers, asked.body)
        answering = answer(handler, self._relay, self._watch, asked.path, brought)
        Running(answering, lambda said: tell(said.status_code, said.raw_headers, bytes(said.body)))
        return True


def _named(path: str) -> Mapping[str, str] | None:
    """Mailbox and envelope of ``/v1/mailboxes/{mailbox}/envelopes[/{envelope}]``."""
    parts = path.split("/")
    if len(parts) not in (5, 6) or not all(parts[1:]):
        return None
    if (parts[0], parts[1], parts[2], parts[4]) != ("", "v1", "mailboxes", "envelopes"):
        return None
    names = {"mailbox": parts[3]}
    return names if len(parts) == 5 else {**names, "envelope": parts[5]}
