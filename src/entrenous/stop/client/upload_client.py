"""Ask a gate about an upload: ``POST /v1/uploads`` (docs/spec/gate.md, 6).

The upload is streamed: counted, its first bytes remembered, nothing kept.
"""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import anyio
import httpx

from entrenous.base.environment import BadSetting
from entrenous.stop.client.gate_answer import (
    FAILURES,
    REPLY_BYTES_MAX,
    STATE_BYTES_MAX,
    ClientSettings,
    GateAnswer,
    GateReason,
    GateVerdict,
    account_header,
    held,
    read_reply,
    read_state,
)
from entrenous.stop.client.uploaded_files import START_BYTES, is_media

CHUNK_BYTES: Final = 64 * 1024


class OverLimit(Exception):
    """More came than may be sent; never leaves the client."""


class OutOfTime(Exception):
    """The budget is over; never leaves the client."""


class Readable(Protocol):
    """What has bytes to read: a file, a request's body."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def chunks_of(file: Readable) -> Iterator[bytes]:
    """A file's bytes from where it stands, 64 KiB at a time."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class TimeLeft(dict[str, Any]):
    """The timeout of each step, as httpx's transport asks for it when the step begins: what is
    left of one budget for all of them.
    """

    def __init__(self, budget_s: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._until = now() + budget_s

    def get(self, _step: str, _otherwise: Any = None) -> float:
        """Seconds, above 0."""
        return max(self._until - self._now(), 0.001)

    def check(self) -> None:
        """Raises OutOfTime."""
        if self._now() >= self._until:
            raise OutOfTime


class OutgoingUpload:
    """Bytes that are handed on; at most ``limit_bytes`` of them (OverLimit)."""

    def __init__(self, chunks: Iterable[bytes], limit_bytes: int, left: TimeLeft) -> None:
        self._chunks = chunks
        self._limit = limit_bytes
        self._left = left
        self._count = 0
        self.start = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._left.check()
            self._count += len(chunk)
            if self._count > self._limit:
                raise OverLimit
            if len(self.start) < START_BYTES:
                self.start += chunk[: START_BYTES - len(self.start)]
            if chunk:
                yield chunk


_LOG: Final = logging.getLogger("entrenous.hooks")
_REFERENCE: Final = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")
# Shorter than a gate keeps an idle connection open, so that none is used that it just closed.
_LIMITS: Final = httpx.Limits(max_connections=64, keepalive_expiry=10)


class GateClient:
    """A gate as a server's threads ask it; one client serves all of them.

    ``transport`` is what carries the requests, if not the network.

    Raises:
        BadSetting: the file of authorities holds none.
    """

    def __init__(
        self, setting: ClientSettings, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.setting = setting
        self._http = httpx.Client(
            transport=transport,
            verify=_context(setting),
            trust_env=False,
            follow_redirects=False,
            limits=_LIMITS,
        )

    def ask(  # noqa: PLR0913 - all but one have a default
        self,
        untrusted: bytes | Iterable[bytes],
        reference: str = "",
        *,
        account: str = "",
        left: TimeLeft | None = None,
        says_media: bool = False,
        publishes_held: bool = False,
    ) -> GateAnswer:
        """The gate's answer about one upload, which is sent as it comes; logged by case number.

        ``reference`` is the platform's own name for it, and comes back with a review. ``account``
        is whose it is, and leaves as a hash. ``left``: the time for it, when it shares one budget
        with others. ``says_media``: it came as a picture, video or sound, so it is none of the
        "other files", whatever its bytes are. ``publishes_held``: what fits a claim and is held is
        published all the same, for there is no place where it could wait; the gate is told so, and
        lists it.
        """
        left = TimeLeft(self.setting.budget_s) if left is None else left
        chunks = (untrusted,) if isinstance(untrusted, bytes) else untrusted
        outgoing = OutgoingUpload(chunks, self.setting.upload_bytes_max, left)
        headers = _headers(self.setting, untrusted, reference, account)
        headers |= _publishes(self.setting, held=publishes_held)
        answer = self._exchange(outgoing, left, headers)
        may_show = says_media or is_media(outgoing.start)
        return _told(_weighed(answer, self.setting, may_show=may_show), self.setting)

    def ask_file(
        self, path: Path, reference: str = "", account: str = "", *, publishes_held: bool = False
    ) -> GateAnswer:
        """As :meth:`ask`, about a file; raises OSError when it can't be read."""
        with path.open("rb") as file:
            chunks = chunks_of(file)
            return self.ask(chunks, reference, account=account, publishes_held=publishes_held)

    def state_of(self, case: str) -> str:
        """How a case stands at the gate ("waiting", "confirmed", "released", "closed"); empty where
        that can't be told now.
        """
        left = TimeLeft(self.setting.budget_s)
        try:
            with self._http.stream(
                "GET",
                f"{self.setting.gate.rstrip('/')}/v1/reviews/{quote(case, safe='')}",
                headers=_headers(self.setting, ()),
                extensions={"timeout": left},
            ) as reply:
                body = bytearray()
                for chunk in reply.iter_raw():
                    left.check()
                    body += chunk
                    if len(body) > STATE_BYTES_MAX:
                        return ""
                return read_state(reply.status_code, bytes(body))
        except (OutOfTime, httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            return ""

    def held(self, why: GateReason) -> GateAnswer:
        """The answer about an upload that can't even be asked about; logged."""
        return told_unasked(why, self.setting)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _exchange(
        self, outgoing: OutgoingUpload, left: TimeLeft, headers: dict[str, str]
    ) -> GateAnswer:
        try:
            with self._http.stream(
                "POST",
                _address(self.setting),
                content=iter(outgoing),
                headers=headers,
                extensions={"timeout": left},
            ) as reply:
                body = bytearray()
                for chunk in reply.iter_raw():
                    left.check()
                    body += chunk
                    if len(body) > REPLY_BYTES_MAX:
                        return held(GateReason.MALFORMED)
                return read_reply(reply.status_code, bytes(body))
        except (OverLimit, OutOfTime, httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            return _failed(problem)


class AsyncGateClient:
    """A gate as a server's event loop asks it. Raises as :class:`GateClient`."""

    def __init__(
        self, setting: ClientSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.setting = setting
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=_context(setting),
            trust_env=False,
            follow_redirects=False,
            limits=_LIMITS,
            timeout=setting.budget_s,
        )

    async def ask(
        self,
        untrusted_data: bytes,
        left: TimeLeft | None = None,
        account: str = "",
        *,
        publishes_held: bool = False,
    ) -> GateAnswer:
        """The gate's answer about one upload; logged by case number. ``left``, ``account`` and
        ``publishes_held``: see GateClient.
        """
        setting = self.setting
        left = TimeLeft(setting.budget_s) if left is None else left
        if len(untrusted_data) > setting.upload_bytes_max:
            return _told(held(GateReason.TOO_LARGE), setting)
        publishes = _publishes(setting, held=publishes_held)
        try:
            with anyio.fail_after(left.get("")):
                answer = await self._exchange(untrusted_data, account, publishes)
        except TimeoutError:
            answer = held(GateReason.SLOW)
        return _told(_weighed(answer, setting, may_show=is_media(untrusted_data)), setting)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _exchange(
        self, untrusted_data: bytes, account: str, publishes: dict[str, str]
    ) -> GateAnswer:
        headers = _headers(self.setting, untrusted_data, account=account)
        headers |= publishes
        address = _address(self.setting)
        try:
            async with self._http.stream(
                "POST", address, content=untrusted_data, headers=headers
            ) as reply:
                body = bytearray()
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > REPLY_BYTES_MAX:
                        return held(GateReason.MALFORMED)
                return read_reply(reply.status_code, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            return _failed(problem)


def told_unasked(why: GateReason, setting: ClientSettings) -> GateAnswer:
    """The answer about an upload that could not even be asked about: it is held, and logged."""
    return _told(held(why), setting)


def _address(setting: ClientSettings) -> str:
    return f"{setting.gate.rstrip('/')}/v1/uploads"


def _headers(
    setting: ClientSettings,
    untrusted: bytes | Iterable[bytes],
    reference: str = "",
    account: str = "",
) -> dict[str, str]:
    """With the length, where it is known, so that a gate can refuse before it reads."""
    headers = {
        "Authorization": f"Bearer {setting.token.reveal().decode()}",
        "Content-Type": "application/octet-stream",
        "Accept-Encoding": "identity",  # what is counted is what is read
    }
    if isinstance(untrusted, bytes):
        headers["Content-Length"] = str(len(untrusted))
    if _REFERENCE.fullmatch(reference):
        headers["Entrenous-Reference"] = reference
    return headers | account_header(account, setting.token)


def _publishes(setting: ClientSettings, *, held: bool) -> dict[str, str]:
    """What the platform publishes whatever the gate says."""
    if setting.shadow:
        return {"Entrenous-Publishes": "all"}
    return {"Entrenous-Publishes": "held"} if held else {}


def _context(setting: ClientSettings) -> ssl.SSLContext:
    """TLS 1.3 or newer, as with every gate."""
    try:
        context = ssl.create_default_context(cafile=setting.ca_file or None)
    except (OSError, ssl.SSLError):
        wanted = "a PEM file of certificate authorities"
        raise BadSetting(name="ca_file", wanted=wanted) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _failed(problem: Exception) -> GateAnswer:
    if isinstance(problem, OverLimit):
        return held(GateReason.TOO_LARGE)
    if isinstance(problem, OutOfTime | httpx.TimeoutException):
        return held(GateReason.SLOW)
    return held(GateReason.AWAY)


def _weighed(answer: GateAnswer, setting: ClientSettings, *, may_show: bool) -> GateAnswer:
    """Of what the gate calls no picture, the operator says what becomes of it."""
    if answer.why is not GateReason.OTHER_MEDIA:
        return answer
    why = GateReason.OTHER_MEDIA if may_show else GateReason.OTHER_FILE
    choice = setting.other_media if why is GateReason.OTHER_MEDIA else setting.other_files
    return GateAnswer(GateVerdict.LET_THROUGH if choice == "pass" else GateVerdict.HOLD, why)


def _told(answer: GateAnswer, setting: ClientSettings) -> GateAnswer:
    """One line in the log: the decision and its case number, nothing of the upload."""
    answer = replace(answer, shadow=setting.shadow)
    said: dict[str, object] = {
        "event": "upload",
        "decision": answer.said.value,
        "why": answer.why.value.replace(" ", "-"),
        "case": answer.case or "-",
        "would": "-" if answer.would is None else answer.would.value,
        "shadow": answer.shadow,
    }
    level = logging.WARNING if answer.why in FAILURES else logging.INFO
    words = (
        "upload decision=%(decision)s why=%(why)s case=%(case)s would=%(would)s shadow=%(shadow)s"
    )
    if answer.listed:
        said["published"] = True
        words += " published=True"
    _LOG.log(level, words, said, extra={"said": said})
    return answer
