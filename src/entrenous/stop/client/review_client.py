"""The review queue of a gate over HTTP, and the ASGI transport to a gate in this process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

import anyio
import httpx
import msgspec

from entrenous.base.errors import EntrenousError
from entrenous.base.limits import GATE_UPLOAD_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.stop.nouns import BadAnswer, GateBusy, GateRefused, GateUnreachable
from entrenous.stop.upload_record import NoSuchReview, NoView, UploadNotKept, WrongReviewToken
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, urn_of

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]  # an ASGI application


@dataclass(frozen=True, slots=True)
class AsgiTransport(httpx.BaseTransport):
    """Sends requests to ``app`` in this process, one at a time, without running its lifespan."""

    app: AsgiApp

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return anyio.run(self._ask, request)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            answer = await client.request(
                request.method, request.url, content=request.read(), headers=request.headers
            )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def asgi_client(app: AsgiApp) -> httpx.Client:
    """Return a client whose requests go to ``app``."""
    return httpx.Client(transport=AsgiTransport(app))


FormT = TypeVar("FormT", bound=msgspec.Struct)
_BUSY_STATUSES: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_DETAIL_CHARS_MAX: Final = 300
_CASE_ERRORS: Final = {urn_of(kind): kind for kind in (NoSuchReview, NoView, UploadNotKept)}


class ShownMatch(msgspec.Struct, omit_defaults=True):
    """A match of an upload as reviewers see it, with the state of the claim."""

    bank: str
    distance: int
    how: str
    claim: str
    state: str = ""
    reason: str = ""
    opinions: dict[str, int] = {}


class ShownReview(msgspec.Struct, kw_only=True):
    """A review as the gate shows it, in the JSON schema ``entrenous/review/1``."""

    schema: str
    case: str
    state: str
    at: str
    decision: str
    matches: list[ShownMatch]
    found: str
    reference: str
    gathered: int
    view: str | None = None
    upload: str | None = None
    first_confirmer: str | None = None
    also: list[str] = []


class ShownQueue(msgspec.Struct):
    """The queue as the gate shows it, in the JSON schema ``entrenous/reviews/1``."""

    waiting: int
    next: ShownReview | None
    reviewer: str
    confirmers: int


class _Problem(msgspec.Struct):
    type: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReviewClient:
    """The reviews of the gate at ``url``.

    Errors refer to the gate by ``called`` if that is given, and otherwise by its address.

    Raises:
        GateUnreachable, GateBusy, BadAnswer, WrongReviewToken: from every method.
        NoSuchReview: there is no such case.
        GateRefused: any other refusal, with the gate's own words.
    """

    url: str
    token: Secret = field(repr=False)
    client: httpx.Client = field(repr=False)
    answer_bytes_max: int = 2 * GATE_UPLOAD_BYTES_MAX
    called: str = ""

    @property
    def _gate_name_in_errors(self) -> str:
        return self.called or self.url

    def next_waiting(self, after: str = "") -> ShownQueue:
        """Return the queue with its oldest item, or with the next item after the case ``after``."""
        return self._parse_form(self._request("GET", "", after, query={"after": after}), ShownQueue)

    def get_review(self, case: str) -> ShownReview:
        return self._parse_form(self._request("GET", "/{}", case), ShownReview)

    def decide(self, case: str, decision: str, shown: Sequence[str]) -> ShownReview:
        """Decide "confirm" or "release"; ``shown`` lists the claims that the reviewer saw.

        Returns:
            The review in its new state.
        """
        body = msgspec.json.encode({"decision": decision, "shown": shown})
        return self._parse_form(self._request("POST", "/{}", case, body=body), ShownReview)

    def blurred_preview(self, case: str) -> bytes:
        """Return the picture of a case as a small, grey, blurred PNG; raises NoView and
        UploadNotKept too.
        """
        return self._request("GET", "/{}/view", case)

    def original_bytes(self, case: str) -> bytes:
        """Return the original bytes of an upload, which are untrusted; raises UploadNotKept too."""
        return self._request("GET", "/{}/upload", case)

    def _request(
        self,
        method: str,
        path: str,
        case: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self.token.reveal().decode('latin-1')}"}
        where = f"{self.url}/v1/reviews{path.format(quote(case, safe=''))}"
        try:
            with self.client.stream(
                method, where, params=query, content=body, headers=headers
            ) as answer:
                said = self._read_answer(answer)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            raise GateUnreachable(url=self._gate_name_in_errors) from problem
        if answer.status_code != HTTPStatus.OK:
            raise self._error_from_answer(answer, said, case)
        return said

    def _read_answer(self, answer: httpx.Response) -> bytes:
        received = bytearray()
        for chunk in answer.iter_bytes():
            received += chunk
            if len(received) > self.answer_bytes_max:
                raise BadAnswer(url=self._gate_name_in_errors)
        return bytes(received)

    def _error_from_answer(
        self, answer: httpx.Response, untrusted_body: bytes, case: str
    ) -> EntrenousError:
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            return WrongReviewToken(url=self._gate_name_in_errors)
        if answer.status_code in _BUSY_STATUSES:
            return GateBusy()
        if not 400 <= answer.status_code < 500:
            return GateUnreachable(url=self._gate_name_in_errors)
        problem = _Problem()
        if answer.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
            problem = self._parse_form(untrusted_body, _Problem)
        if problem.type in _CASE_ERRORS:
            return _CASE_ERRORS[problem.type](case=case)
        said = problem.detail or f"status {answer.status_code}"
        shown = "".join(letter for letter in " ".join(said.split()) if letter.isprintable())
        return GateRefused(url=self._gate_name_in_errors, detail=shown[:_DETAIL_CHARS_MAX])

    def _parse_form(self, untrusted_body: bytes, form: type[FormT]) -> FormT:
        try:
            return msgspec.json.decode(untrusted_body, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise BadAnswer(url=self._gate_name_in_errors) from None
