"""ASGI middleware: asks the gate about each upload before the application has it.

::

    app = GateMiddleware(app, {"gate": "http://127.0.0.1:7802", "token_file": ...})
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

import anyio
import anyio.to_thread

from entrenous.adapters.gate_client.account import account_of
from entrenous.adapters.gate_client.answer import Answer, Said, Why, strictest
from entrenous.adapters.gate_client.client import AsyncGateClient, told_unasked
from entrenous.adapters.gate_client.form import Unreadable
from entrenous.adapters.gate_client.setting import HookSetting, read_setting
from entrenous.adapters.gate_client.upload import TimeLeft
from entrenous.faces.hooks.body import AT_ONCE, Body, Message, NoRoom, Place, Receive, SenderGone
from entrenous.faces.hooks.replies import Reply, SlowUpload, headers_of, problem, reply_to
from entrenous.faces.hooks.rules import (
    FILES_MAX,
    HEADER,
    files_of,
    header_value,
    limit_of,
    rules_of,
)

Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAME: Final = HEADER.lower().encode()


class GateMiddleware:
    """Wraps an ASGI application; WebSockets pass as they are.

    Args:
        app: the application.
        setting: how the gate is asked, or the names and values of it.
        paths: where uploads come.
        on_hold: what becomes of a held one: see :class:`entrenous.faces.hooks.rules.Rules`.
        client: what asks, if not the network.
        account: whose request it is, by its scope, where the application knows: something that a
            sender cannot choose, as the name of who is signed in. It leaves as a hash. Where it is
            not known, the client's address counts.

    Raises:
        BadSetting.
    """

    def __init__(  # noqa: PLR0913 - all but two have a default
        self,
        app: App,
        setting: HookSetting | Mapping[str, Any],
        *,
        paths: Iterable[str] = ("/",),
        on_hold: str = "publish",
        client: AsyncGateClient | None = None,
        account: Callable[[Scope], str | None] | None = None,
    ) -> None:
        known = setting if isinstance(setting, HookSetting) else read_setting(setting)
        self._app = app
        self._setting = known
        self._rules = rules_of(paths, on_hold)
        self._client = client or AsyncGateClient(known)
        self._account = account
        self._room = anyio.Semaphore(AT_ONCE)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if not _is_ours(name)]
        target = scope.get("raw_path") or b""
        if self._rules.look_at(scope["method"], scope["path"], target):
            await self._look(scope, headers, receive, send)
        else:
            await self._app({**scope, "headers": headers}, receive, send)

    async def _look(
        self,
        scope: MutableMapping[str, Any],
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        send: Send,
    ) -> None:
        name = self._account and self._account({**scope, "headers": headers})
        account = account_of(name, (scope.get("client") or [""])[0])
        async with Place(self._room) as place:
            body = Body(receive, place)
            try:
                answer = await self._answer(body, headers, account)
            except SenderGone:
                return  # and with it what came
            except TimeoutError:
                await say(problem(SlowUpload(), 408), send)
                return
            if answer is not None:
                reply = reply_to(answer, self._rules.on_hold, self._setting.appeal_url)
                if reply is not None:
                    await say(reply, send)
                    return
                headers = [*headers, (NAME, header_value(answer).encode())]
            await self._app({**scope, "headers": headers}, body.again, send)

    async def _answer(
        self, body: Body, headers: list[tuple[bytes, bytes]], account: str
    ) -> Answer | None:
        try:
            await body.arrive(limit_of(self._setting.upload_bytes_max))
        except NoRoom:
            return told_unasked(Why.BUSY, self._setting)
        if not body.is_whole:
            return told_unasked(Why.TOO_LARGE, self._setting)
        types = _values(headers, b"content-type")
        codings = _values(headers, b"content-encoding")
        try:
            files = await anyio.to_thread.run_sync(files_of, body.held, types, codings)
        except Unreadable:
            return told_unasked(Why.UNREADABLE, self._setting)
        if len(files) > FILES_MAX:
            return told_unasked(Why.TOO_MANY, self._setting)
        return await self._settled(files, account)

    async def _settled(self, files: list[bytes], account: str) -> Answer | None:
        answers: list[Answer] = []
        left = TimeLeft(self._setting.budget_s)  # one for all of them
        for untrusted_data in files:
            answer = await self._client.ask(
                untrusted_data, left, account, publishes_held=self._rules.publishes_held
            )
            answers.append(answer)
            if answer.acts is Said.REFUSE:
                break
        return strictest(answers)


def _is_ours(name: bytes) -> bool:
    """Some servers behind take an underscore for a hyphen."""
    return name.lower().replace(b"_", b"-") == NAME


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for own, value in headers if own.lower() == name]


async def say(reply: Reply, send: Send) -> None:
    """Send a reply of our own."""
    headers = [(name.lower().encode(), value.encode()) for name, value in headers_of(reply)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
