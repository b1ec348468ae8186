"""BankClient over HTTP: the platform's gate as a device sees it (docs/spec/gate.md section 6)."""

import base64
import ipaddress
from typing import Final
from urllib.parse import urlsplit

import httpx

from entrenous.craft.wire.claim import read_claim, write_request
from entrenous.model.bank import (
    BadAnswer,
    BadClaim,
    ClaimRequest,
    ClaimStatus,
    GateBusy,
    GateRefused,
    GateUnreachable,
    NoSuchClaim,
    NotPrivate,
    NotTheHolder,
)
from entrenous.model.fingerprint import TooFlat
from entrenous.model.ids import ClaimId
from entrenous.model.secret import Secret

PATIENCE_S: Final = 20.0
_DETAIL_MAX: Final = 300  # characters of a gate's own words that we pass on


class HttpBankClient:
    """The gate at https://..., or at http:// on this machine; close it when done.

    Raises:
        NotPrivate: any other address: a fingerprint is not sent in the clear.
    """

    __slots__ = ("_http", "url")

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        if not _is_private(url):
            raise NotPrivate(url=url)
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=url, timeout=PATIENCE_S, transport=transport, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def register(self, request: ClaimRequest) -> ClaimStatus:
        """POST /v1/claims."""
        answer = self._ask("POST", "/v1/claims", content=write_request(request))
        if _problem(answer) == "too-flat":
            raise TooFlat(quality=request.whole.quality)
        return self._claim(answer)

    def status(self, claim: ClaimId) -> ClaimStatus:
        """GET /v1/claims/{id}."""
        answer = self._ask("GET", f"/v1/claims/{claim}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NoSuchClaim(claim=claim)
        return self._claim(answer)

    def withdraw(self, claim: ClaimId, token: Secret) -> ClaimStatus:
        """DELETE /v1/claims/{id}; the token goes in a header, never in the address."""
        bearer = base64.urlsafe_b64encode(token.reveal()).decode().rstrip("=")
        headers = {"Authorization": f"Bearer {bearer}"}
        answer = self._ask("DELETE", f"/v1/claims/{claim}", headers=headers)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NoSuchClaim(claim=claim)
        if _problem(answer) == "not-the-holder":
            raise NotTheHolder(claim=claim)
        return self._claim(answer)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {**({"Content-Type": "application/json"} if content else {}), **(headers or {})}
        try:
            answer = self._http.request(method, path, content=content, headers=sent)
        except httpx.HTTPError as problem:
            raise GateUnreachable(url=self.url) from problem
        if answer.status_code in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            raise GateBusy
        return answer

    def _claim(self, answer: httpx.Response) -> ClaimStatus:
        if answer.is_client_error:
            raise GateRefused(url=self.url, detail=_detail(answer))
        if not answer.is_success:
            raise GateUnreachable(url=self.url)
        try:
            return read_claim(answer.content)
        except BadClaim as problem:
            raise BadAnswer(url=self.url) from problem


def _is_private(url: str) -> bool:
    """https, or http to this machine by number or as "localhost"."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(answer: httpx.Response) -> str:
    """The last part of a problem document's type (RFC 9457), or nothing."""
    return str(_document(answer).get("type", "")).rpartition(":")[2]


def _detail(answer: httpx.Response) -> str:
    said = str(_document(answer).get("detail", f"status {answer.status_code}"))
    return "".join(letter for letter in said if letter.isprintable())[:_DETAIL_MAX]


def _document(answer: httpx.Response) -> dict[str, object]:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
