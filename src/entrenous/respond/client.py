"""Timestamp authorities over HTTP (RFC 3161, section 3.4).

Only a SHA-256 leaves the device. A nonce ties the response to the request, and every response is
verified before it is accepted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from entrenous.base.environment import Proxy
from entrenous.base.errors import StampDoesNotHold
from entrenous.crypto.rfc3161 import certificate_fingerprints, decode_response, verify_timestamp
from entrenous.device.client.connections import Lanes, PacedTransport
from entrenous.device.client.http_courier import way_to
from entrenous.respond.timestamps import (
    AuthorityUnreachable,
    Stamp,
    StampChecker,
    StampRefused,
    TimestampAuthority,
)


@contextmanager
def timestamp_authority(
    url: str, authorities: bytes, proxy: Proxy | None = None
) -> Iterator[TimestampAuthority]:
    """A stamp authority over HTTP; ``authorities`` are the certificates trusted for it, PEM."""
    context = httpx.create_ssl_context(trust_env=False)  # many speak no TLS 1.3
    lanes = Lanes(lambda asked: PacedTransport(context, way_to(asked, proxy)))
    with httpx.Client(transport=lanes, timeout=30, trust_env=False) as client:
        yield HttpTimestampAuthority(url, authorities, client)


def kept_authorities() -> StampChecker:
    """Checks stamps against the certificates that were kept with them, without a network."""
    return KeptAuthorities()


def trusted_authorities(authorities: bytes) -> StampChecker:
    """Checks stamps against these certificates (PEM) alone, without a network."""
    return TrustedAuthorities(authorities)


def root_fingerprints(authorities: bytes) -> tuple[bytes, ...]:
    """SHA-256 (32 bytes) of each root among certificates that have proven a stamp."""
    return certificate_fingerprints(authorities)


QUERY: Final = "application/timestamp-query"
REPLY: Final = "application/timestamp-reply"
REPLY_BYTES_MAX: Final = 64 * 1024  # real answers have 1 to 8 KiB
_GRANTED: Final = 0  # RFC 3161 section 2.4.2; "granted with modifications" is not what was asked


class HttpTimestampAuthority:
    """The ``TimestampAuthority`` port; ``authorities`` are trusted certificates, PEM."""

    def __init__(self, url: str, authorities: bytes, client: httpx.Client) -> None:
        self._url = url
        self._authorities = authorities
        self._client = client

    def stamp(self, manifest: bytes) -> Stamp:
        """A proven stamp over the manifest's SHA-256; see ports/."""
        request = (
            TimestampRequestBuilder().data(manifest).hash_algorithm(HashAlgorithm.SHA256).build()
        )
        untrusted_token = self._ask(request.as_bytes())
        self._refuse_refusal(untrusted_token)
        at = verify_timestamp(untrusted_token, manifest, self._authorities, nonce=request.nonce)
        return Stamp(manifest, untrusted_token, at, self._url, self._authorities)

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove a kept stamp again, against the authorities trusted *now*; see ports/."""
        _check(stamp, manifest, self._authorities)

    def _ask(self, query: bytes) -> bytes:
        try:
            with self._client.stream(
                "POST", self._url, content=query, headers={"Content-Type": QUERY}
            ) as answer:
                self._refuse_odd(answer)
                return self._read(answer)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise AuthorityUnreachable(url=self._url) from None

    def _refuse_odd(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            raise StampRefused(url=self._url, why=f"HTTP status {answer.status_code}")
        if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() != REPLY:
            raise StampRefused(url=self._url, why="it is not a stamp authority's answer")

    def _read(self, answer: httpx.Response) -> bytes:
        data = b""
        for part in answer.iter_bytes():
            data += part
            if len(data) > REPLY_BYTES_MAX:
                raise StampRefused(url=self._url, why="its answer was too long")
        return data

    def _refuse_refusal(self, untrusted_token: bytes) -> None:
        status = decode_response(untrusted_token).status
        if status != _GRANTED:
            raise StampRefused(url=self._url, why=f"it answered with status {status}")


class KeptAuthorities:
    """The ``StampChecker`` port: each stamp against the authorities trusted when it was made."""

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove a kept stamp again, by what was kept with it; see ports/."""
        _check(stamp, manifest, stamp.authorities)


def _check(stamp: Stamp, manifest: bytes, authorities: bytes) -> None:
    if verify_timestamp(stamp.token, manifest, authorities) != stamp.at:
        raise StampDoesNotHold(why="it states another time")


class TrustedAuthorities:
    """The ``StampChecker`` port: every stamp against these authorities (PEM), and no others."""

    def __init__(self, authorities: bytes) -> None:
        self._authorities = authorities

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove a kept stamp again, by nothing that was kept with it; see ports/."""
        if verify_timestamp(stamp.token, manifest, self._authorities) != stamp.at:
            raise StampDoesNotHold(why="it states another time")
