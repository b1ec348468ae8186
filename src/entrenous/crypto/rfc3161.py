"""Verification of RFC 3161 timestamps against trusted certificates.

The signer's certificate must lead to a trusted authority and have been valid at the stamp's time: a
stamp outlives its authority's certificate.
"""

from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client import (
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from entrenous.base.errors import StampDoesNotHold


def verify_timestamp(
    untrusted_token: bytes, manifest: bytes, authorities: bytes, nonce: int | None = None
) -> datetime:
    """Verify a timestamp over ``manifest``, and return its time.

    Args:
        untrusted_token: a DER TimeStampResp.
        manifest: the bytes that were stamped.
        authorities: trusted certificates, PEM, or one as DER; at least one self-signed.
        nonce: the request's nonce; None for a stored stamp.

    Raises:
        StampDoesNotHold: says why.
    """
    token = decode_response(untrusted_token)
    trusted = _certificates(authorities)
    try:
        _verifier(token, trusted, nonce).verify_message(token, manifest)
    except VerificationError as why:
        raise StampDoesNotHold(why=_reason(why)) from None
    except Exception:  # noqa: BLE001 -- untrusted certificates fail in ways that no list covers
        raise StampDoesNotHold(why="its certificates cannot be read") from None
    return token.tst_info.gen_time


def decode_response(untrusted_token: bytes) -> TimeStampResponse:
    """Parse an authority's answer (RFC 3161, section 2.4.2); raises StampDoesNotHold."""
    try:
        return decode_timestamp_response(untrusted_token)
    except ValueError:
        raise StampDoesNotHold(why="it cannot be read") from None


def _certificates(authorities: bytes) -> list[Certificate]:
    """Load trusted certificates: any number as PEM, or one as DER."""
    try:
        if b"-----BEGIN" in authorities:
            return load_pem_x509_certificates(authorities)
        return [load_der_x509_certificate(authorities)]
    except ValueError:
        raise StampDoesNotHold(why="the authority's certificate file cannot be read") from None


def _verifier(token: TimeStampResponse, trusted: list[Certificate], nonce: int | None) -> Verifier:
    """Build a verifier from trusted roots and any intermediate certificates.

    A token without certificates can be verified if the trusted file has its signer's.
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


def _reason(refusal: VerificationError) -> str:
    said = str(refusal)
    if "between messages" in said:
        return "it is over other bytes than these"
    if "Nonce" in said:
        return "it answers another question than ours"
    return "its signature does not lead to an authority that you trust"


def certificate_fingerprints(authorities: bytes) -> tuple[bytes, ...]:
    """Return the SHA-256 (32 bytes) of each root among the certificates, PEM or DER."""
    trusted = _certificates(authorities)
    return tuple(one.fingerprint(SHA256()) for one in trusted if one.issuer == one.subject)
