"""Stamp authorities over HTTP (RFC 3161 section 3.4), every answer proven before it is believed.

Only a SHA-256 leaves the device. A nonce ties the answer to the question, the signer's certificate
must come along and lead to one of the authorities that the person trusts, and it must have been
valid at the time that the stamp states: a stamp outlives its authority's certificate.
"""

from datetime import datetime
from typing import Final

import httpx
from cryptography.x509 import (
    Certificate,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from entrenous.model.evidence import AuthorityUnreachable, Stamp, StampDoesNotHold, StampRefused

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
        at = proven_at(untrusted_token, manifest, self._authorities, nonce=request.nonce)
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
        status = _decoded(untrusted_token).status
        if status != _GRANTED:
            raise StampRefused(url=self._url, why=f"it answered with status {status}")


class KeptAuthorities:
    """The ``StampChecker`` port: each stamp against the authorities trusted when it was made."""

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove a kept stamp again, by what was kept with it; see ports/."""
        _check(stamp, manifest, stamp.authorities)


def proven_at(
    untrusted_token: bytes, manifest: bytes, authorities: bytes, nonce: int | None = None
) -> datetime:
    """The time that a stamp states over ``manifest``, after proving it.

    Args:
        untrusted_token: a DER TimeStampResp.
        manifest: the bytes that were stamped.
        authorities: PEM certificates, at least one of them self-signed.
        nonce: what the question carried; None when proving a stamp again.

    Raises:
        StampDoesNotHold: says why.
    """
    token = _decoded(untrusted_token)
    trusted = _certificates(authorities)
    try:
        _verifier(token, trusted, nonce).verify_message(token, manifest)
    except VerificationError as why:
        raise StampDoesNotHold(why=_why(why)) from None
    except Exception:  # noqa: BLE001 -- certificates from strangers fail in ways that no list covers
        raise StampDoesNotHold(why="its certificates cannot be read") from None
    return token.tst_info.gen_time


def _check(stamp: Stamp, manifest: bytes, authorities: bytes) -> None:
    if proven_at(stamp.token, manifest, authorities) != stamp.at:
        raise StampDoesNotHold(why="it states another time")


def _decoded(untrusted_token: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(untrusted_token)
    except ValueError:
        raise StampDoesNotHold(why="it cannot be read") from None


def _certificates(authorities: bytes) -> list[Certificate]:
    """The trusted certificates: any number of them as PEM, or one as DER."""
    try:
        if b"-----BEGIN" in authorities:
            return load_pem_x509_certificates(authorities)
        return [load_der_x509_certificate(authorities)]
    except ValueError:
        raise StampDoesNotHold(why="the authority's certificate file cannot be read") from None


def _verifier(token: TimeStampResponse, trusted: list[Certificate], nonce: int | None) -> Verifier:
    """Checks a token against trusted roots, and against the certificates between, if there are any.

    A token without certificates can still be proven when the trusted file holds its signer's.
    """
    roots = [certificate for certificate in trusted if certificate.issuer == certificate.subject]
    if not roots:
        raise StampDoesNotHold(why="the authority's certificate file has no root in it")
    return VerifierBuilder(
        roots=roots,
        intermediates=[certificate for certificate in trusted if certificate not in roots],
        tsa_certificate=None if token.signed_data.certificates else _signer(token, trusted),
        nonce=nonce,
    ).build()


def _signer(token: TimeStampResponse, trusted: list[Certificate]) -> Certificate | None:
    names = {(info.issuer, info.serial_number) for info in token.signed_data.signer_infos}
    ours = (one for one in trusted if (one.issuer, one.serial_number) in names)
    return next(ours, None)


def _why(refusal: VerificationError) -> str:
    said = str(refusal)
    if "between messages" in said:
        return "it is over other bytes than these"
    if "Nonce" in said:
        return "it answers another question than ours"
    return "its signature does not lead to an authority that you trust"
