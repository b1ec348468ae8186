"""Answer requests that arrive in one piece, without starting a task for each.

All other requests are passed to uvicorn. The reason is in
docs/decisions/0020-requests-past-the-parser.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from entrenous.serving.connection_limits import LimitedProtocol

Headers = Sequence[tuple[bytes, bytes]]
#: A function that sends an answer: it is called with status, headers and body.
SendAnswer = Callable[[int, Headers, bytes], None]
_HEAD_PATTERN: Final = re.compile(
    r"(GET|PUT|DELETE) (/[A-Za-z0-9/_.~-]*+)(?:\?([A-Za-z0-9=&_.~-]*+))? HTTP/1\.1"
    r"((?:\r\n[A-Za-z0-9-]++:[\t -~]*+)*+)",
)
# a request with a longer head (first line and headers) is left to uvicorn's parser
_HEAD_BYTES_MAX: Final = 8192
_CONTENT_LENGTH_DIGITS_MAX: Final = 9
# reading pauses when more bytes than this have arrived before the previous request is answered
_PENDING_BYTES_MAX: Final = 65536
_UNSUPPORTED_HEADERS: Final = frozenset(("transfer-encoding", "expect", "upgrade", "te", "trailer"))
_CLOSE_HEADER: Final = (b"connection", b"close")


class BufferedRequest(NamedTuple):
    """A complete request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@runtime_checkable
class BufferedHandler(Protocol):
    """An application that answers complete requests.

    The only such application is the relay's, which the package ``serving`` must not import.
    """

    def answer_buffered(self, request: BufferedRequest, send_answer: SendAnswer) -> bool:
        """Answer the request by calling ``send_answer`` once, now or later in this thread.

        Return False to leave the request to ASGI.
        """


def parse_buffered_request(untrusted: bytes) -> BufferedRequest | None:
    """Parse a request; return None unless the bytes are exactly one complete, simple request."""
    end = untrusted.find(b"\r\n\r\n", 0, _HEAD_BYTES_MAX)
    found = _HEAD_PATTERN.fullmatch(untrusted[:end].decode("latin-1")) if end > 0 else None
    if found is None:
        return None
    method, path, query, lines = found.groups()
    fields = [line.partition(":") for line in lines.split("\r\n")[1:]]
    headers = {name.lower(): value.strip(" \t") for name, _, value in fields}
    if len(headers) != len(fields) or not _UNSUPPORTED_HEADERS.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    length = headers.get("content-length", "0")
    if not length.isdigit() or len(length) > _CONTENT_LENGTH_DIGITS_MAX:
        return None
    if int(length) != len(untrusted) - end - 4:
        return None
    return BufferedRequest(method, path, query or "", headers, untrusted[end + 4 :])


class BufferedProtocol(LimitedProtocol):
    """A connection that offers complete requests to the application, one at a time."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], **more: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **more)
        self._answer_whole = (
            config.app.answer_buffered if isinstance(config.app, BufferedHandler) else None
        )
        self._is_stopping = False
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        """Offer the data to the application; if it does not answer, let uvicorn parse the data.

        Data waits if it arrives before the previous request is answered.
        """
        if self._is_asked:
            self._hold_until_answered(data)
        elif (
            self._answer_whole is None
            or not self._may_offer_request()
            or not self._offer_to_application(data)
        ):
            super().data_received(data)

    def shutdown(self) -> None:
        """Close the connection once the current request is answered."""
        if self._is_asked:
            self._is_stopping = True
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection.

        uvicorn's timer calls this method. The time is checked again here, since buffered requests
        do not reset that timer.
        """
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._is_asked or left > 0:
            self._start_keep_alive_timer(max(left, 1))
        else:
            super().timeout_keep_alive_handler()

    def _may_offer_request(self) -> bool:
        return bool(
            self.is_between_requests
            and getattr(self.cycle, "response_complete", True)
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _offer_to_application(self, data: bytes) -> bool:
        whole = parse_buffered_request(data)
        if whole is None or self._answer_whole is None:
            return False
        self._is_asked = True
        if self._answer_whole(whole, self._send_answer):
            return True
        self._is_asked = False
        return False

    def _hold_until_answered(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > _PENDING_BYTES_MAX:
            self.flow.pause_reading()

    def _send_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._is_asked = False
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        every = [
            *self.server_state.default_headers,
            *headers,
            *([_CLOSE_HEADER] if self._is_stopping else []),
        ]
        lines = [b"%b: %b\r\n" % one for one in every]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        self._proceed_to_next_request()

    def _proceed_to_next_request(self) -> None:
        """Wait for the next request, or process data that has already arrived."""
        if self._is_stopping:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._start_keep_alive_timer(self.timeout_keep_alive)
        if self._pending:
            data, self._pending = self._pending, b""
            self.flow.resume_reading()
            self.data_received(data)

    def _start_keep_alive_timer(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )
