"""Timestamp authorities over HTTP (RFC 3161, section 3.4).

A request contains the SHA-256 of the manifest, and a nonce that ties the response to the request.
Every response is verified before it is accepted.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from entrenous.base.environment import Proxy, Settings
from entrenous.base.errors import InvalidTimestamp
from entrenous.crypto.rfc3161 import decode_response, verify_timestamp
from entrenous.device.client.connections import PerTokenTransport, RateCheckedTransport
from entrenous.device.client.http_courier import proxy_route_for
from entrenous.respond.evidence import (
    AuthorityUnreachable,
    NoAuthorityAnswered,
    StampRefused,
    no_answer_text,
    refuse_stamp_before_manifest,
)
from entrenous.respond.manifest_format import read_manifest
from entrenous.respond.nouns import Stamp
from entrenous.respond.stamp_authorities import (
    StampAuthority,
    known_stamp_authorities,
    read_certificate_bundle,
    root_in_bundle,
)


@contextmanager
def open_timestamp_authority(
    url: str, authorities: bytes, proxy: Proxy | None = None
) -> Iterator["HttpTimestampAuthority"]:
    """Open a client for an authority; ``authorities`` are the PEM certificates trusted for it."""
    # TLS 1.2 stays allowed, because many authorities do not support TLS 1.3
    context = httpx.create_ssl_context(trust_env=False)
    transport = PerTokenTransport(
        lambda asked: RateCheckedTransport(context, proxy_route_for(asked, proxy))
    )
    with httpx.Client(transport=transport, timeout=30, trust_env=False) as client:
        yield HttpTimestampAuthority(url, authorities, client)


@contextmanager
def open_known_authorities(settings: Settings) -> Iterator[Callable[[bytes], Stamp]]:
    """Open a client that asks the known public authorities for a stamp, one after another.

    Each authority's stamps must chain to the root certificate that the table of authorities names
    for it. The roots, like those for TLS, are taken from the certificate bundle. Raises BadTable,
    BadSetting.

    The yielded function takes the bytes of a manifest. If no authority gives a valid stamp, it
    raises NoAuthorityAnswered, with a reason for each authority.
    """
    bundle = read_certificate_bundle(settings)
    known = known_stamp_authorities(settings)
    context = ssl.create_default_context(cadata=bundle.decode(errors="replace"))
    transport = PerTokenTransport(
        lambda asked: RateCheckedTransport(context, proxy_route_for(asked, settings.proxy))
    )
    with httpx.Client(transport=transport, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield lambda manifest: _request_stamp_from_each(manifest, known, bundle, client)


def _request_stamp_from_each(
    manifest: bytes, authorities: Iterable[StampAuthority], bundle: bytes, client: httpx.Client
) -> Stamp:
    reasons = []
    for one in authorities:
        root = root_in_bundle(one, bundle)
        if root is None:
            reasons.append(f"{one.name}: its root is not in the certificate bundle")
            continue
        try:
            new = HttpTimestampAuthority(one.url, root, client).stamp(manifest)
            refuse_stamp_before_manifest(new, read_manifest(manifest))
        except AuthorityUnreachable:
            reasons.append(no_answer_text(one.name))
        except StampRefused as why:
            reasons.append(f"{one.name}: {why.facts['why']}")
        except InvalidTimestamp as why:
            reasons.append(f"{one.name}: {why.facts['why']}")
        else:
            return new
    raise NoAuthorityAnswered(why="; ".join(reasons) or "this release lists none")


def verify_stamp(stamp: Stamp, authorities: bytes | None = None) -> None:
    """Verify a stored stamp, offline; raises InvalidTimestamp.

    ``authorities`` are the trusted PEM certificates; by default those stored with the stamp.
    """
    trusted = stamp.authorities if authorities is None else authorities
    if verify_timestamp(stamp.token, stamp.manifest, trusted) != stamp.at:
        raise InvalidTimestamp(why="it does not state the time that was stored with it")


_TIMEOUT_S: Final = 15.0  # if an authority is silent for longer, the next one is asked
QUERY_MEDIA_TYPE: Final = "application/timestamp-query"
REPLY_MEDIA_TYPE: Final = "application/timestamp-reply"
REPLY_BYTES_MAX: Final = 64 * 1024  # real answers are 1 to 8 KiB long
_STATUS_GRANTED: Final = 0  # RFC 3161 section 2.4.2; "granted with modifications" is not accepted


class HttpTimestampAuthority:
    """A timestamp authority at a URL; ``authorities`` are the PEM certificates trusted for it."""

    def __init__(self, url: str, authorities: bytes, client: httpx.Client) -> None:
        self._url = url
        self._authorities = authorities
        self._client = client

    def stamp(self, manifest: bytes) -> Stamp:
        """Have the SHA-256 of a manifest stamped, and verify the stamp.

        Raises:
            AuthorityUnreachable, StampRefused: there is no stamp.
            InvalidTimestamp: the answer is not a valid stamp over this manifest.
        """
        request = (
            TimestampRequestBuilder().data(manifest).hash_algorithm(HashAlgorithm.SHA256).build()
        )
        untrusted_token = self._post_query(request.as_bytes())
        self._check_status(untrusted_token)
        at = verify_timestamp(untrusted_token, manifest, self._authorities, nonce=request.nonce)
        return Stamp(manifest, untrusted_token, at, self._url, self._authorities)

    def _post_query(self, query: bytes) -> bytes:
        try:
            with self._client.stream(
                "POST", self._url, content=query, headers={"Content-Type": QUERY_MEDIA_TYPE}
            ) as answer:
                self._check_response(answer)
                return self._read_answer(answer)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise AuthorityUnreachable(url=self._url) from None

    def _check_response(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            raise StampRefused(url=self._url, why=f"HTTP status {answer.status_code}")
        if (
            answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            != REPLY_MEDIA_TYPE
        ):
            raise StampRefused(url=self._url, why="its answer is not that of a stamp authority")

    def _read_answer(self, answer: httpx.Response) -> bytes:
        data = b""
        for part in answer.iter_bytes():
            data += part
            if len(data) > REPLY_BYTES_MAX:
                raise StampRefused(url=self._url, why="its answer was too long")
        return data

    def _check_status(self, untrusted_token: bytes) -> None:
        status = decode_response(untrusted_token).status
        if status != _STATUS_GRANTED:
            raise StampRefused(url=self._url, why=f"it answered with status {status}")
