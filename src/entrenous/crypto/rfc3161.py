"""Verification of RFC 3161 timestamps against trusted certificates.

A chain must lead from the signer's certificate to a trusted authority, and the certificates must
have been valid at the time of the stamp. So a stamp stays valid after its authority's certificate
has expired.
"""

from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client import (
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from entrenous.base.errors import InvalidTimestamp
from entrenous.base.language import translatable


def verify_timestamp(
    untrusted_token: bytes, manifest: bytes, authorities: bytes, nonce: int | None = None
) -> datetime:
    """Verify a timestamp over ``manifest``, and return its time.

    Args:
        untrusted_token: a DER TimeStampResp.
        manifest: the bytes that were stamped.
        authorities: trusted certificates, in PEM or a single one in DER; at least one must be
            self-signed.
        nonce: the request's nonce; None for a stored stamp.

    Raises:
        InvalidTimestamp: the stamp is not valid; the error says why.
    """
    token = decode_response(untrusted_token)
    trusted = _load_certificates(authorities)
    try:
        _build_verifier(token, trusted, nonce).verify_message(token, manifest)
    except VerificationError as why:
        raise InvalidTimestamp(why=_why_stamp_is_invalid(why)) from None
    except Exception:  # noqa: BLE001 -- untrusted certificates cause errors of any type
        raise InvalidTimestamp(why="its certificates cannot be read") from None
    return token.tst_info.gen_time


def decode_response(untrusted_token: bytes) -> TimeStampResponse:
    """Parse a time stamp authority's answer (RFC 3161, section 2.4.2); raises InvalidTimestamp."""
    try:
        return decode_timestamp_response(_with_sorted_certificates(untrusted_token))
    except ValueError:
        raise InvalidTimestamp(why="it cannot be read") from None


# the DER tag of SignedData.certificates, [0] (RFC 5652, section 5.1)
_CERTIFICATES_TAG: Final = 0xA0
# the indices of the elements on the path from TimeStampResp through the token and [0] to SignedData
_SIGNED_DATA_PATH: Final = (0, 1, 1, 0)
# if this bit of a length's first byte is set, its other bits are the number of bytes that follow
_LONG_LENGTH_BIT: Final = 0x80


def _with_sorted_certificates(untrusted_token: bytes) -> bytes:
    """Return the answer with its certificates in the order that DER requires (X.690, section 11.6).

    DigiCert, Sectigo and openssl write them in the order of the chain, which strict parsers refuse.
    The signature does not cover the certificates, so they can be sorted. An answer that cannot be
    parsed is returned unchanged.
    """
    try:
        fields = _split_der(untrusted_token, 0, len(untrusted_token))
        for place in _SIGNED_DATA_PATH:
            _, inside, end = fields[place]
            fields = _split_der(untrusted_token, inside, end)
        (found,) = (one for one in fields if untrusted_token[one[0]] == _CERTIFICATES_TAG)
    except (IndexError, ValueError):
        return untrusted_token
    _, inside, end = found
    parts = [untrusted_token[at:to] for at, _, to in _split_der(untrusted_token, inside, end)]
    return untrusted_token[:inside] + b"".join(sorted(parts)) + untrusted_token[end:]


def _split_der(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Split DER into its elements.

    Return three offsets for each element: where it begins, where its content begins, and where it
    ends. Raises ValueError or IndexError if the elements do not fill the bytes exactly.
    """
    found = []
    while at < end:
        size, inside = data[at + 1], at + 2
        if size >= _LONG_LENGTH_BIT:
            inside += size - _LONG_LENGTH_BIT
            size = int.from_bytes(data[at + 2 : inside], "big")
        if inside + size > end:
            raise ValueError("an element is longer than what holds it")
        found.append((at, inside, inside + size))
        at = inside + size
    return found


def _load_certificates(authorities: bytes) -> list[Certificate]:
    """Load trusted certificates: any number in PEM, or a single one in DER."""
    try:
        if b"-----BEGIN" in authorities:
            return load_pem_x509_certificates(authorities)
        return [load_der_x509_certificate(authorities)]
    except ValueError:
        raise InvalidTimestamp(why="the authority's certificate file cannot be read") from None


def _build_verifier(
    token: TimeStampResponse, trusted: list[Certificate], nonce: int | None
) -> Verifier:
    """Build a verifier from trusted roots and any intermediate certificates.

    A token without certificates can be verified only if the signer's certificate is among the
    trusted ones.
    """
    roots = [certificate for certificate in trusted if certificate.issuer == certificate.subject]
    if not roots:
        raise InvalidTimestamp(why="the authority's certificate file has no root in it")
    return VerifierBuilder(
        roots=roots,
        intermediates=[certificate for certificate in trusted if certificate not in roots],
        tsa_certificate=None
        if token.signed_data.certificates
        else _signer_certificate(token, trusted),
        nonce=nonce,
    ).build()


def _signer_certificate(token: TimeStampResponse, trusted: list[Certificate]) -> Certificate | None:
    names = {(info.issuer, info.serial_number) for info in token.signed_data.signer_infos}
    ours = (one for one in trusted if (one.issuer, one.serial_number) in names)
    return next(ours, None)


def _why_stamp_is_invalid(error: VerificationError) -> str:
    said = str(error)
    if "between messages" in said:
        return translatable("it was made for other data than this")
    if "Nonce" in said:
        return translatable("it answers a different request")
    return translatable("its signature does not lead to an authority that you trust")


def root_certificate_fingerprints(authorities: bytes) -> tuple[bytes, ...]:
    """Return the SHA-256 hash (32 bytes) of each root certificate in ``authorities``."""
    trusted = _load_certificates(authorities)
    return tuple(one.fingerprint(SHA256()) for one in trusted if one.issuer == one.subject)
