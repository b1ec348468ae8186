"""Relays in this process: the whole HTTP interface with no network, no loop and no thread.

For the village. A relay on stores in memory never waits for anything, so each request runs from
its first line to its last at once, and the order of events is the order of calls.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeVar

import httpx

from entrenous.device.client.http_courier import HttpCourier

Answer = TypeVar("Answer")
_Message = MutableMapping[str, Any]
App = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Coroutine[Any, Any, None],
]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def memory_courier(apps: Mapping[str, App]) -> HttpCourier:
    """A courier to ASGI applications by their addresses, e.g. ``https://relay.test``.

    ``apps`` is looked up for each request: who is taken out does not answer.
    """
    return HttpCourier(httpx.Client(transport=InProcess(apps), trust_env=False))


def at_once(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what never waits, without an event loop.

    Raises:
        RuntimeError: it did wait.
    """
    try:
        work.send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    work.close()
    raise RuntimeError("this waits for something that only an event loop can bring")


class InProcess(httpx.BaseTransport):
    """Hands each request to an application, as a transport of httpx.

    ``run`` is another one where the relays' stores have to be waited for.
    """

    def __init__(self, apps: Mapping[str, App], run: Run = at_once) -> None:
        self._apps, self._run = apps, run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The application's whole answer; raises httpx.ConnectError where there is none."""
        app = self._apps.get(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if app is None:
            raise httpx.ConnectError("nobody answers there", request=request)
        body, sent = request.read(), list[_Message]()

        async def receive() -> _Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: _Message) -> None:
            sent.append(message)

        self._run(app(_scope(request), receive, send))
        start, *rest = sent
        content = b"".join(message.get("body", b"") for message in rest)
        stream = httpx.ByteStream(content)
        return httpx.Response(start["status"], headers=start["headers"], stream=stream)


def _scope(request: httpx.Request) -> _Message:
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
