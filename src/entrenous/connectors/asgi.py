"""ASGI middleware that asks the gate about each upload before the application receives it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

import anyio

from entrenous.connectors.upload_rules import (
    DECISION_HEADER,
    FILES_MAX,
    Reply,
    SlowUpload,
    body_bytes_limit,
    decision_header_value,
    make_rules,
    may_have_body,
    problem_reply,
    reply_headers,
    reply_to,
    uploads_in_body,
)
from entrenous.stop.client.gate_answer import (
    ClientSettings,
    GateAnswer,
    GateReason,
    GateVerdict,
    account_of_user_or_network,
    read_client_settings,
    strictest_answer,
)
from entrenous.stop.client.upload_client import AsyncGateClient, TimeLeft, hold_without_asking
from entrenous.stop.client.uploaded_files import Unreadable

AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
# At most this many large bodies are in memory at once. A further large body waits after its first
# 64 kB.
LARGE_BODIES_MAX: Final = 16
SMALL_BODY_BYTES_MAX: Final = 64 * 1024
# Seconds that a large body waits for a slot. After that it is treated as if the gate were busy.
SLOT_WAIT_S_MAX: Final = 10
# Seconds in which the first 64 kB of a body must arrive; the rest must arrive in as many seconds
# once it has a slot. So a slow sender does not keep a slot from others.
BODY_ARRIVAL_S_MAX: Final = 60


class SenderDisconnected(Exception):
    """The sender disconnected before the end of the body; internal to the middleware."""


class NoBodySlot(Exception):
    """Too many large bodies are in memory; internal to the middleware."""


class BodySlot:
    """A slot for a large body, occupied from ``take`` to ``release``."""

    def __init__(self, room: anyio.Semaphore) -> None:
        self._room = room
        self._is_taken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.release()

    async def take(self) -> None:
        """Wait for a slot; raises NoBodySlot."""
        with anyio.move_on_after(SLOT_WAIT_S_MAX):
            await self._room.acquire()
            self._is_taken = True
        if not self._is_taken:
            raise NoBodySlot

    def release(self) -> None:
        """Release the slot, if it was taken."""
        if self._is_taken:
            self._is_taken = False
            self._room.release()


class RequestBody:
    """A request's body.

    ``held`` has the bytes read so far, and ``is_whole`` says whether they are the whole body.
    """

    def __init__(self, receive: Receive, slot: BodySlot) -> None:
        self.held = b""
        self.is_whole = False
        self._receive = receive
        self._slot = slot
        self._has_ended = False
        self._is_given = False

    async def read(self, limit: int) -> None:
        """Read the body; stop soon after ``limit`` bytes.

        Raises:
            SenderDisconnected, NoBodySlot.
            TimeoutError: the body took too long to arrive.
        """
        with anyio.fail_after(BODY_ARRIVAL_S_MAX):
            await self._collect_body(SMALL_BODY_BYTES_MAX)
        if not self._has_ended:
            await self._slot.take()
            with anyio.fail_after(BODY_ARRIVAL_S_MAX):
                await self._collect_body(limit)
        self.is_whole = self._has_ended and len(self.held) <= limit

    async def _collect_body(self, limit: int) -> None:
        pieces = [self.held]
        size = len(self.held)
        try:
            while not self._has_ended and size <= limit:
                message = await self._receive()
                if message["type"] != "http.request":
                    raise SenderDisconnected
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                self._has_ended = not message.get("more_body", False)
        finally:
            self.held = b"".join(pieces)

    async def receive_again(self) -> AsgiMessage:
        """Return the next ASGI message for the application: first the bytes that were read, then
        what the server receives. The first call frees the slot.
        """
        if self._is_given:
            return await self._receive()
        self._is_given = True
        data, self.held = self.held, b""
        self._slot.release()
        return {"type": "http.request", "body": data, "more_body": not self._has_ended}


Send = Callable[[AsgiMessage], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
DECISION_HEADER_NAME: Final = DECISION_HEADER.lower().encode()


class GateMiddleware:
    """Wraps an ASGI application; WebSockets pass unchanged.

    Args:
        app: the application.
        setting: the hook's settings, or a mapping of their names and values.
        paths: the paths of uploads.
        on_hold: what to do with a held upload; see
            :class:`entrenous.connectors.upload_rules.UploadRules`.
        client: replaces the client for the gate.
        account: a function that returns the user of a request, given its scope. It must use only
            what the sender cannot choose, such as the name of the user who is signed in. Only the
            hash of the name is sent. Without a user, the client's address is used.

    Raises:
        BadSetting.
    """

    def __init__(  # noqa: PLR0913 - all but two have a default
        self,
        app: App,
        setting: ClientSettings | Mapping[str, Any],
        *,
        paths: Iterable[str] = ("/",),
        on_hold: str = "publish",
        client: AsyncGateClient | None = None,
        account: Callable[[Scope], str | None] | None = None,
    ) -> None:
        known = setting if isinstance(setting, ClientSettings) else read_client_settings(setting)
        self._app = app
        self._setting = known
        self._rules = make_rules(paths, on_hold)
        self._client = client or AsyncGateClient(known)
        self._account = account
        self._room = anyio.Semaphore(LARGE_BODIES_MAX)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [
            (name, value) for name, value in scope["headers"] if not _is_decision_header(name)
        ]
        target = scope.get("raw_path") or b""
        has_body = may_have_body(
            _header_value(headers, b"content-length"),
            _header_value(headers, b"transfer-encoding"),
            scope.get("http_version", ""),
        )
        if self._rules.may_contain_upload(
            scope["method"], scope["path"], target, has_body=has_body
        ):
            await self._check_request(scope, headers, receive, send)
        else:
            await self._app({**scope, "headers": headers}, receive, send)

    async def _check_request(
        self,
        scope: MutableMapping[str, Any],
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        send: Send,
    ) -> None:
        name = self._account and self._account({**scope, "headers": headers})
        account = account_of_user_or_network(name, (scope.get("client") or [""])[0])
        async with BodySlot(self._room) as slot:
            body = RequestBody(receive, slot)
            try:
                answer = await self._ask_gate(body, headers, account)
            except SenderDisconnected:
                return
            except TimeoutError:
                await send_reply(problem_reply(SlowUpload(), 408), send)
                return
            if answer is not None:
                reply = reply_to(answer, self._rules.on_hold, self._setting.appeal_url)
                if reply is not None:
                    await send_reply(reply, send)
                    return
                headers = [*headers, (DECISION_HEADER_NAME, decision_header_value(answer).encode())]
            await self._app({**scope, "headers": headers}, body.receive_again, send)

    async def _ask_gate(
        self, body: RequestBody, headers: list[tuple[bytes, bytes]], account: str
    ) -> GateAnswer | None:
        try:
            await body.read(body_bytes_limit(self._setting.upload_bytes_max))
        except NoBodySlot:
            return hold_without_asking(GateReason.BUSY, self._setting)
        if not body.is_whole:
            return hold_without_asking(GateReason.TOO_LARGE, self._setting)
        if not body.held:
            return None
        types = _header_values(headers, b"content-type")
        codings = _header_values(headers, b"content-encoding")
        try:
            files = await anyio.to_thread.run_sync(uploads_in_body, body.held, types, codings)
        except Unreadable:
            return hold_without_asking(GateReason.UNREADABLE, self._setting)
        if len(files) > FILES_MAX:
            return hold_without_asking(GateReason.TOO_MANY, self._setting)
        return await self._ask_about_files(files, account)

    async def _ask_about_files(self, files: list[bytes], account: str) -> GateAnswer | None:
        answers: list[GateAnswer] = []
        left = TimeLeft(self._setting.budget_s)  # one budget of time for all files of the request
        for untrusted_data in files:
            answer = await self._client.ask(
                untrusted_data, left, account, publishes_held=self._rules.publishes_held
            )
            answers.append(answer)
            if answer.action is GateVerdict.REFUSE:
                break
        return strictest_answer(answers)


def _is_decision_header(name: bytes) -> bool:
    """Return whether a header has the name of our decision header, with hyphens or underscores:
    some servers treat the two alike.
    """
    return name.lower().replace(b"_", b"-") == DECISION_HEADER_NAME


def _header_values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for own, value in headers if own.lower() == name]


def _header_value(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the values of a header, or None if there is none."""
    values = _header_values(headers, name)
    return ", ".join(values) if values else None


async def send_reply(reply: Reply, send: Send) -> None:
    """Send a reply that the middleware made itself."""
    headers = [(name.lower().encode(), value.encode()) for name, value in reply_headers(reply)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
