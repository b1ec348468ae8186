"""A certificate of a relay's or a gate's own: TLS 1.3 and nothing older."""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from entrenous.model.relay_settings import BadCertificate


class Certificate:
    """A certificate with its key, as a server shows it; both are PEM files.

    Raises:
        BadCertificate: they can't be read, or do not fit each other.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._load_into(self.context)

    def load(self) -> None:
        """Read both files again, as after a renewal; connections that are open keep the old one,
        and so do all when the files cannot be used: raises BadCertificate.
        """
        # OpenSSL puts the certificate in before it finds that the key is another one's.
        self._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self._load_into(self.context)

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError):
            raise BadCertificate(cert=self._cert, key=self._key) from None

    def holds(self) -> tuple[datetime, datetime]:
        """From when until when the certificate says that it is good."""
        first = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
        return first.not_valid_before_utc, first.not_valid_after_utc


def _no_password() -> str:
    """A server starts with nobody at hand: a key that asks for a password is no use to it."""
    raise ValueError("this key asks for a password")
