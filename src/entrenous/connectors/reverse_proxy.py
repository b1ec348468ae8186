"""A reverse proxy for servers without plug-ins: it checks uploads, and forwards everything else
unchanged.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

import anyio
import httpx

from entrenous.base.environment import BadSetting
from entrenous.base.errors import Unreachable
from entrenous.connectors.asgi import (
    DECISION_HEADER_NAME,
    App,
    GateMiddleware,
    Receive,
    Send,
    send_reply,
)
from entrenous.connectors.upload_rules import problem_reply
from entrenous.stop.client.gate_answer import ClientSettings, refuse_invalid_setting_url

# Headers that are not forwarded: those for one hop only (RFC 9110, section 7.6.1), and those about
# the connection to this proxy.
_HOP_HEADERS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding")
) | {b"upgrade", b"expect", b"proxy-authenticate", b"proxy-authorization"}
# Headers that the sender's "Connection" header must not remove: the decision, and those that make
# the server behind this proxy parse the request as the gate did.
_PROTECTED_HEADERS: Final = frozenset(
    (
        DECISION_HEADER_NAME,
        b"host",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"x-forwarded-for",
    )
)
_HEADER_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
_TIMEOUT: Final = httpx.Timeout(300, connect=10)
_CONNECTION_LIMITS: Final = httpx.Limits(max_connections=256, keepalive_expiry=4)


class UpstreamUnreachable(Unreachable):
    """
    The server behind this proxy did not answer, or the connection to it broke. It may have
    processed the request all the same, so before you try again, check on the site whether what you
    sent is already there.
    """


class UpstreamSlow(Unreachable):
    """
    The server behind this proxy took too long to answer. It may have processed the request all the
    same, so before you try again, check on the site whether what you sent is already there.
    """


def proxy_app(
    upstream: str,
    setting: ClientSettings | Mapping[str, Any],
    *,
    paths: Iterable[str] = ("/",),
    on_hold: str = "publish",
    account_header: str = "",
) -> App:
    """Build an ASGI application in front of the server ``upstream`` (https, or http to localhost).

    ``account_header`` is the name of a header that contains the user of a request; a web server in
    front of this one must set that header.

    Raises:
        BadSetting.
    """
    name = _parse_header_name(account_header)
    account = partial(_user_in_header, name) if name else None
    return GateMiddleware(
        UpstreamServer(upstream), setting, paths=paths, on_hold=on_hold, account=account
    )


def _parse_header_name(text: str) -> bytes:
    if text and not _HEADER_NAME_PATTERN.fullmatch(text):
        raise BadSetting(name="account_header", wanted="the name of a header, such as X-User")
    return text.lower().encode()


def _user_in_header(name: bytes, scope: MutableMapping[str, Any]) -> str:
    """Return the value of the header ``name``; "" if the header is missing, or if it is repeated,
    since the sender may have added one of the values.
    """
    values = [value for own, value in scope["headers"] if own.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


class UpstreamServer:
    """Forwards each request to the server at ``url``, and returns the server's answer.

    Raises:
        BadSetting: the ``url`` is not allowed.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        refuse_invalid_setting_url("upstream", url)
        self._base = httpx.URL(url.rstrip("/"))
        self._http = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=_TIMEOUT,
            limits=_CONNECTION_LIMITS,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._forward(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._http.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _forward(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        request = httpx.Request(
            scope["method"],
            self._address(scope),
            headers=_with_forwarded_for(_without_hop_headers(scope["headers"]), scope),
            content=_read_body(receive) if _has_body(scope["headers"]) else None,
            extensions={"timeout": _TIMEOUT.as_dict()},
        )
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TimeoutException:
            await send_reply(problem_reply(UpstreamSlow(), 504), send)
            return
        except httpx.HTTPError:
            await send_reply(problem_reply(UpstreamUnreachable(), 502), send)
            return
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(_cancel_on_disconnect, receive, both.cancel_scope)
                await _send_answer(answer, send)
                both.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await answer.aclose()

    def _address(self, scope: MutableMapping[str, Any]) -> httpx.URL:
        """Return the request's address at the server, with path and query exactly as requested."""
        path = scope.get("raw_path") or scope["path"].encode()
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        return self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + path + query)


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel the answer when the client disconnects, since some answers are endless."""
    while (await receive())["type"] == "http.request":
        pass
    scope.cancel()


async def _send_answer(answer: httpx.Response, send: Send) -> None:
    given = _without_hop_headers((name.lower(), value) for name, value in answer.headers.raw)
    # The web server sets this header itself.
    headers = [(name, value) for name, value in given if name != b"date"]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for chunk in answer.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _read_body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise httpx.ReadError("the sender disconnected")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


def _has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    names = {name.lower(): value for name, value in headers}
    return b"transfer-encoding" in names or names.get(b"content-length", b"0") != b"0"


def _without_hop_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Drop headers for one hop only, by name or because "Connection" lists them."""
    given = list(headers)
    named = b",".join(value for name, value in given if name.lower() == b"connection")
    drop = _HOP_HEADERS | (
        {name.strip().lower() for name in named.split(b",")} - _PROTECTED_HEADERS
    )
    return [(name, value) for name, value in given if name.lower() not in drop]


def _with_forwarded_for(
    headers: list[tuple[bytes, bytes]], scope: MutableMapping[str, Any]
) -> list[tuple[bytes, bytes]]:
    """Append the connected client to X-Forwarded-For."""
    name = b"x-forwarded-for"
    client = scope.get("client")
    chain = [value for own, value in headers if own.lower() == name]
    chain.append((client[0] if client else "unknown").encode())
    return [(own, value) for own, value in headers if own.lower() != name] + [
        (name, b", ".join(chain))
    ]
