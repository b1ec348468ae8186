"""Ask a gate about an upload: ``POST /v1/uploads`` (docs/spec/gate.md, 6).

GateClient streams the upload and keeps only its length and its first bytes; AsyncGateClient sends
bytes that are in memory.
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
    DECISION_REPLY_BYTES_MAX,
    FAILURE_REASONS,
    REVIEW_REPLY_BYTES_MAX,
    ClientSettings,
    GateAnswer,
    GateReason,
    GateVerdict,
    account_header,
    held_answer,
    parse_decision_reply,
    parse_review_state,
)
from entrenous.stop.client.uploaded_files import MEDIA_START_BYTES, is_media

CHUNK_BYTES: Final = 64 * 1024


class UploadOverLimit(Exception):
    """The upload exceeds the limit; internal to the client."""


class TimeBudgetUsedUp(Exception):
    """The budget of time is used up; internal to the client."""


class Readable(Protocol):
    """A file, or the body of a request in any server."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; empty at the end."""
        ...


def read_chunks(file: Readable) -> Iterator[bytes]:
    """Read the rest of a file, 64 KiB at a time."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class TimeLeft(dict[str, Any]):
    """The time that is left of one budget for all steps of a request.

    httpx's transport reads this mapping as its timeout at the start of each step.
    """

    def __init__(self, budget_s: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._until = now() + budget_s

    def get(self, _step: str, _otherwise: Any = None) -> float:
        """Return the remaining seconds, at least a millisecond, since httpx needs a positive
        number.
        """
        return max(self._until - self._now(), 0.001)

    def check(self) -> None:
        """Raise TimeBudgetUsedUp if no time is left."""
        if self._now() >= self._until:
            raise TimeBudgetUsedUp


class OutgoingUpload:
    """Yields an upload's bytes, as they are sent; ``start`` has the first ones.

    Raises UploadOverLimit after ``limit_bytes``, and TimeBudgetUsedUp when the time is used up.
    """

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
                raise UploadOverLimit
            if len(self.start) < MEDIA_START_BYTES:
                self.start += chunk[: MEDIA_START_BYTES - len(self.start)]
            if chunk:
                yield chunk


_LOG: Final = logging.getLogger("entrenous.hooks")
_REFERENCE_PATTERN: Final = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")
# Idle connections are kept for a shorter time than gates keep them, so that no connection is used
# that the gate has just closed.
_CONNECTION_LIMITS: Final = httpx.Limits(max_connections=64, keepalive_expiry=10)


class GateClient:
    """Sends a platform's uploads to its gate. All threads of a server can share one client.

    ``transport`` replaces the network.

    Raises:
        BadSetting: the file ``setting.ca_file`` contains no certificate authorities.
    """

    def __init__(
        self, setting: ClientSettings, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.setting = setting
        self._http = httpx.Client(
            transport=transport,
            verify=_tls_context(setting),
            trust_env=False,
            follow_redirects=False,
            limits=_CONNECTION_LIMITS,
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
        """Stream one upload to the gate, log the answer by its case number, and return it.

        Args:
            untrusted: the upload.
            reference: the platform's own id for it, which reviewers see.
            account: the uploader's account; only its hash is sent.
            left: the time left, if several uploads share one budget.
            says_media: the sender declared the upload a picture, a video or a sound, so the setting
                ``other_files`` does not apply, even if its bytes are not those of media.
            publishes_held: the platform publishes it even if the gate holds it, since it cannot
                wait; the gate lists it as published.
        """
        left = TimeLeft(self.setting.budget_s) if left is None else left
        chunks = (untrusted,) if isinstance(untrusted, bytes) else untrusted
        outgoing = OutgoingUpload(chunks, self.setting.upload_bytes_max, left)
        headers = _request_headers(self.setting, untrusted, reference, account)
        headers |= _publish_header(self.setting, held=publishes_held)
        answer = self._send_upload(outgoing, left, headers)
        looks_like_media = says_media or is_media(outgoing.start)
        return _set_shadow_and_log(
            _apply_choice_for_unreadable(answer, self.setting, looks_like_media=looks_like_media),
            self.setting,
        )

    def ask_file(
        self, path: Path, reference: str = "", account: str = "", *, publishes_held: bool = False
    ) -> GateAnswer:
        """Ask about a file, as :meth:`ask` does; raises OSError if it cannot be read."""
        with path.open("rb") as file:
            chunks = read_chunks(file)
            return self.ask(chunks, reference, account=account, publishes_held=publishes_held)

    def review_state(self, case: str) -> str:
        """Return the state of a case: "waiting", "confirmed", "released" or "closed"; "" if it is
        unknown.
        """
        left = TimeLeft(self.setting.budget_s)
        try:
            with self._http.stream(
                "GET",
                f"{self.setting.gate.rstrip('/')}/v1/reviews/{quote(case, safe='')}",
                headers=_request_headers(self.setting, ()),
                extensions={"timeout": left},
            ) as reply:
                body = bytearray()
                for chunk in reply.iter_raw():
                    left.check()
                    body += chunk
                    if len(body) > REVIEW_REPLY_BYTES_MAX:
                        return ""
                return parse_review_state(reply.status_code, bytes(body))
        except (TimeBudgetUsedUp, httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            return ""

    def close(self) -> None:
        self._http.close()

    def _send_upload(
        self, outgoing: OutgoingUpload, left: TimeLeft, headers: dict[str, str]
    ) -> GateAnswer:
        try:
            with self._http.stream(
                "POST",
                _uploads_address(self.setting),
                content=iter(outgoing),
                headers=headers,
                extensions={"timeout": left},
            ) as reply:
                body = bytearray()
                for chunk in reply.iter_raw():
                    left.check()
                    body += chunk
                    if len(body) > DECISION_REPLY_BYTES_MAX:
                        return held_answer(GateReason.MALFORMED)
                return parse_decision_reply(reply.status_code, bytes(body))
        except (
            UploadOverLimit,
            TimeBudgetUsedUp,
            httpx.HTTPError,
            httpx.InvalidURL,
            UnicodeError,
        ) as problem:
            return _held_answer_for(problem)


class AsyncGateClient:
    """A gate's client for an event loop; it raises the same errors as :class:`GateClient`."""

    def __init__(
        self, setting: ClientSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.setting = setting
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=_tls_context(setting),
            trust_env=False,
            follow_redirects=False,
            limits=_CONNECTION_LIMITS,
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
        """Send one upload to the gate, log the answer by its case number, and return it.

        The arguments are those of :meth:`GateClient.ask`.
        """
        setting = self.setting
        left = TimeLeft(setting.budget_s) if left is None else left
        if len(untrusted_data) > setting.upload_bytes_max:
            return _set_shadow_and_log(held_answer(GateReason.TOO_LARGE), setting)
        publishes = _publish_header(setting, held=publishes_held)
        try:
            with anyio.fail_after(left.get("")):
                answer = await self._send_upload(untrusted_data, account, publishes)
        except TimeoutError:
            answer = held_answer(GateReason.SLOW)
        return _set_shadow_and_log(
            _apply_choice_for_unreadable(
                answer, setting, looks_like_media=is_media(untrusted_data)
            ),
            setting,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send_upload(
        self, untrusted_data: bytes, account: str, publishes: dict[str, str]
    ) -> GateAnswer:
        headers = _request_headers(self.setting, untrusted_data, account=account)
        headers |= publishes
        address = _uploads_address(self.setting)
        try:
            async with self._http.stream(
                "POST", address, content=untrusted_data, headers=headers
            ) as reply:
                body = bytearray()
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > DECISION_REPLY_BYTES_MAX:
                        return held_answer(GateReason.MALFORMED)
                return parse_decision_reply(reply.status_code, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            return _held_answer_for(problem)


def hold_without_asking(why: GateReason, setting: ClientSettings) -> GateAnswer:
    """Hold an upload without asking the gate, and log that."""
    return _set_shadow_and_log(held_answer(why), setting)


def _uploads_address(setting: ClientSettings) -> str:
    return f"{setting.gate.rstrip('/')}/v1/uploads"


def _request_headers(
    setting: ClientSettings,
    untrusted: bytes | Iterable[bytes],
    reference: str = "",
    account: str = "",
) -> dict[str, str]:
    """Return headers with the length, if known, so that the gate can refuse before it reads."""
    headers = {
        "Authorization": f"Bearer {setting.token.reveal().decode()}",
        "Content-Type": "application/octet-stream",
        # Without compression, so that the size of an answer can be limited.
        "Accept-Encoding": "identity",
    }
    if isinstance(untrusted, bytes):
        headers["Content-Length"] = str(len(untrusted))
    if _REFERENCE_PATTERN.fullmatch(reference):
        headers["Entrenous-Reference"] = reference
    return headers | account_header(account, setting.token)


def _publish_header(setting: ClientSettings, *, held: bool) -> dict[str, str]:
    """Return the header that says which uploads the platform publishes even if the gate holds or
    refuses them.
    """
    if setting.shadow:
        return {"Entrenous-Publishes": "all"}
    return {"Entrenous-Publishes": "held"} if held else {}


def _tls_context(setting: ClientSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=setting.ca_file or None)
    except (OSError, ssl.SSLError):
        wanted = "a PEM file of certificate authorities"
        raise BadSetting(name="ca_file", wanted=wanted) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _held_answer_for(problem: Exception) -> GateAnswer:
    if isinstance(problem, UploadOverLimit):
        return held_answer(GateReason.TOO_LARGE)
    if isinstance(problem, TimeBudgetUsedUp | httpx.TimeoutException):
        return held_answer(GateReason.SLOW)
    return held_answer(GateReason.AWAY)


def _apply_choice_for_unreadable(
    answer: GateAnswer, setting: ClientSettings, *, looks_like_media: bool
) -> GateAnswer:
    """Apply the operator's choice to uploads that the gate cannot read."""
    if answer.reason is not GateReason.OTHER_MEDIA:
        return answer
    why = GateReason.OTHER_MEDIA if looks_like_media else GateReason.OTHER_FILE
    choice = setting.other_media if why is GateReason.OTHER_MEDIA else setting.other_files
    return GateAnswer(GateVerdict.LET_THROUGH if choice == "pass" else GateVerdict.HOLD, why)


def _set_shadow_and_log(answer: GateAnswer, setting: ClientSettings) -> GateAnswer:
    """Log the decision and its case number, but nothing from the upload."""
    answer = replace(answer, shadow=setting.shadow)
    log_fields: dict[str, object] = {
        "event": "upload",
        "decision": answer.verdict.value,
        "why": answer.reason.value.replace(" ", "-"),
        "case": answer.case or "-",
        "would": "-" if answer.would is None else answer.would.value,
        "shadow": answer.shadow,
    }
    level = logging.WARNING if answer.reason in FAILURE_REASONS else logging.INFO
    words = (
        "upload decision=%(decision)s why=%(why)s case=%(case)s would=%(would)s shadow=%(shadow)s"
    )
    if answer.listed:
        log_fields["published"] = True
        words += " published=True"
    _LOG.log(level, words, log_fields, extra={"said": log_fields})
    return answer
