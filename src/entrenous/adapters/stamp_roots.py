"""Which authorities a kept stamp is proven with: ones that were given, told apart by fingerprint.

The certificates that lie beside a stamp say who was trusted when it was made. Whoever can rewrite a
whole case can put others there, so it takes one from elsewhere, or its fingerprint.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificates

from entrenous.adapters.rfc3161 import proven_at
from entrenous.model.evidence import Stamp, StampDoesNotHold


class TrustedAuthorities:
    """The ``StampChecker`` port: every stamp against these authorities (PEM), and no others."""

    def __init__(self, authorities: bytes) -> None:
        self._authorities = authorities

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove a kept stamp again, by nothing that was kept with it; see ports/."""
        if proven_at(stamp.token, manifest, self._authorities) != stamp.at:
            raise StampDoesNotHold(why="it states another time")


def fingerprints(authorities: bytes) -> tuple[bytes, ...]:
    """SHA-256 (32 bytes) of each root among certificates that have proven a stamp, PEM or DER."""
    if b"-----BEGIN" in authorities:
        trusted = load_pem_x509_certificates(authorities)
    else:
        trusted = [load_der_x509_certificate(authorities)]
    return tuple(one.fingerprint(SHA256()) for one in trusted if one.issuer == one.subject)
