"""Call relays in this process through their HTTP interface, without network, event loop or thread.

A relay with in-memory stores never waits. So each request is finished when the call returns, and
all effects happen in the order of the calls.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeVar

import httpx

from entrenous.device.client.http_courier import HttpCourier

Answer = TypeVar("Answer")
_AsgiMessage = MutableMapping[str, Any]
App = Callable[
    [
        _AsgiMessage,
        Callable[[], Awaitable[_AsgiMessage]],
        Callable[[_AsgiMessage], Awaitable[None]],
    ],
    Coroutine[Any, Any, None],
]
RunCoroutine = Callable[[Coroutine[Any, Any, Any]], Any]


def memory_courier(apps: Mapping[str, App]) -> HttpCourier:
    """Return a courier that sends its requests to ASGI applications.

    ``apps`` maps URLs, such as ``https://relay.test``, to applications. Each request looks up
    the URL again: an application that was removed is unreachable.
    """
    return HttpCourier(httpx.Client(transport=InProcessTransport(apps), trust_env=False))


def run_sync(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine that never waits, without an event loop, and return its result.

    Raises:
        RuntimeError: the coroutine waited.
    """
    try:
        work.send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    work.close()
    raise RuntimeError("the coroutine waits, which needs an event loop")


class InProcessTransport(httpx.BaseTransport):
    """An httpx transport that passes each request to an ASGI application.

    ``run`` runs the application's coroutine; the default is for applications that never wait.
    """

    def __init__(self, apps: Mapping[str, App], run: RunCoroutine = run_sync) -> None:
        self._apps, self._run = apps, run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole response; raise httpx.ConnectError if no application has the URL."""
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise httpx.ConnectError("nobody answers there", request=request)
        body, messages = request.read(), list[_AsgiMessage]()

        async def receive() -> _AsgiMessage:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: _AsgiMessage) -> None:
            messages.append(message)

        self._run(app(_asgi_scope(request), receive, send))
        start, *rest = messages
        content = b"".join(message.get("body", b"") for message in rest)
        stream = httpx.ByteStream(content)
        return httpx.Response(start["status"], headers=start["headers"], stream=stream)


def _asgi_scope(request: httpx.Request) -> _AsgiMessage:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": None,
    }
