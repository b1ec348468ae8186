"""WSGI middleware (PEP 3333) that asks the gate about each upload before the application gets
it.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

from entrenous.connectors.upload_rules import (
    DECISION_HEADER,
    FILES_MAX,
    Reply,
    ask_about_files,
    body_bytes_limit,
    decision_header_value,
    make_rules,
    may_have_body,
    reply_headers,
    reply_to,
    uploads_in_body,
)
from entrenous.stop.client.gate_answer import (
    ClientSettings,
    GateAnswer,
    GateReason,
    account_of_user_or_network,
    read_client_settings,
)
from entrenous.stop.client.upload_client import (
    CHUNK_BYTES,
    GateClient,
    Readable,
    TimeLeft,
    hold_without_asking,
)
from entrenous.stop.client.uploaded_files import Unreadable

DECISION_ENVIRON_KEY: Final = "HTTP_" + DECISION_HEADER.upper().replace("-", "_")


def _remote_user(environ: Mapping[str, Any]) -> str:
    """Return the user that the server has authenticated (RFC 3875, 4.1.11); no header can
    set it.
    """
    return str(environ.get("REMOTE_USER") or "")


class GateMiddleware:
    """Wraps a WSGI application.

    Args:
        app: the application.
        setting: the hook's settings, or a mapping of their names and values.
        paths: the paths of uploads.
        on_hold: what to do with a held upload; see
            :class:`entrenous.connectors.upload_rules.UploadRules`.
        client: replaces the client for the gate.
        account: a function that returns the user of a request, given its environ; by default,
            REMOTE_USER. It must use only what the sender cannot choose. Only the hash of the name
            is sent. Without a user, the client's address is used.

    Raises:
        BadSetting.
    """

    def __init__(  # noqa: PLR0913 - all but two have a default
        self,
        app: Any,
        setting: ClientSettings | Mapping[str, Any],
        *,
        paths: Iterable[str] = ("/",),
        on_hold: str = "publish",
        client: GateClient | None = None,
        account: Callable[[Mapping[str, Any]], str | None] = _remote_user,
    ) -> None:
        known = setting if isinstance(setting, ClientSettings) else read_client_settings(setting)
        self._app = app
        self._rules = make_rules(paths, on_hold)
        self._client = client or GateClient(known)
        self._setting = known
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.pop(DECISION_ENVIRON_KEY, None)  # only this middleware may set it
        declares_body = may_have_body(
            environ.get("CONTENT_LENGTH") or None,
            environ.get("HTTP_TRANSFER_ENCODING"),
            environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        )
        if not self._rules.may_contain_upload(
            environ["REQUEST_METHOD"], _decoded_path(environ), has_body=declares_body
        ) or not _has_body(environ):
            return cast("Iterable[bytes]", self._app(environ, start_response))
        answer = self._ask_gate(environ)
        if answer is not None:
            reply = reply_to(answer, self._rules.on_hold, self._setting.appeal_url)
            if reply is not None:
                return _send_reply(reply, start_response)
            environ[DECISION_ENVIRON_KEY] = decision_header_value(answer)
        return cast("Iterable[bytes]", self._app(environ, start_response))

    def _ask_gate(self, environ: dict[str, Any]) -> GateAnswer | None:
        """Return the answer for the request's uploads; the body can be read again afterwards."""
        body = _RereadableBody(environ)
        whole = body.read_whole_within(body_bytes_limit(self._setting.upload_bytes_max))
        environ["wsgi.input"] = io.BufferedReader(body)
        if whole is None:
            return hold_without_asking(GateReason.TOO_LARGE, self._setting)
        try:
            files = uploads_in_body(
                whole,
                _environ_values(environ, "CONTENT_TYPE"),
                _environ_values(environ, "HTTP_CONTENT_ENCODING"),
            )
        except Unreadable:
            return hold_without_asking(GateReason.UNREADABLE, self._setting)
        if len(files) > FILES_MAX:
            return hold_without_asking(GateReason.TOO_MANY, self._setting)
        left = TimeLeft(self._setting.budget_s)  # one budget of time for all files of the request
        account = account_of_user_or_network(self._account(environ), environ.get("REMOTE_ADDR", ""))
        held = self._rules.publishes_held
        ask = partial(self._client.ask, left=left, account=account, publishes_held=held)
        return ask_about_files(files, ask)


class _RereadableBody(io.RawIOBase):
    """A request's body: first what was already read, then the rest."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        super().__init__()
        self._rest: Readable = environ["wsgi.input"]
        declared = environ.get("CONTENT_LENGTH", "")
        self._left: int | None = int(declared) if declared.isdecimal() else None
        self._read = io.BytesIO()

    def read_whole_within(self, limit: int) -> bytes | None:
        """Return the whole body, which can be read again from its start; None if it has more than
        ``limit`` bytes.
        """
        held = bytearray()
        is_whole = self._left is None or self._left <= limit
        while is_whole and (chunk := self._read_more(min(CHUNK_BYTES, limit + 1 - len(held)))):
            held += chunk
            is_whole = len(held) <= limit
        self._read = io.BytesIO(bytes(held))
        return bytes(held) if is_whole else None

    def readable(self) -> bool:
        return True  # as io.RawIOBase requires

    def readinto(self, buffer: Any, /) -> int:
        """Read into ``buffer``, as io.RawIOBase requires."""
        data = self._read.read(len(buffer)) or self._read_more(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read_more(self, size: int) -> bytes:
        size = size if self._left is None else min(size, self._left)
        data = self._rest.read(size) if size > 0 else b""
        if self._left is not None:
            self._left -= len(data)
        return data


def _decoded_path(environ: Mapping[str, Any]) -> str:
    """Return the decoded path: WSGI passes its bytes as Latin-1."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    try:
        return cast("str", path).encode("latin-1").decode(errors="replace")
    except UnicodeEncodeError:  # the server has already decoded it
        return cast("str", path)


def _has_body(environ: Mapping[str, Any]) -> bool:
    """Return whether the request has a body. A request without a length has a body only if the
    server marks the end of the body.
    """
    declared = environ.get("CONTENT_LENGTH", "")
    return declared.isdecimal() or bool(environ.get("wsgi.input_terminated"))


def _environ_values(environ: Mapping[str, Any], name: str) -> list[str]:
    return [environ[name]] if environ.get(name) else []


def _send_reply(reply: Reply, start_response: Any) -> list[bytes]:
    status = HTTPStatus(reply.status)
    start_response(f"{status.value} {status.phrase}", reply_headers(reply))
    return [reply.body]
