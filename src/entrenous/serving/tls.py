"""The TLS certificate of a relay or a gate, and its reload on SIGHUP. Only TLS 1.3 is served."""

import asyncio
import logging
import os
import signal
import ssl
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Final

import uvicorn
from cryptography import x509

from entrenous.base.errors import Refused
from entrenous.serving.server_process import RELAY_LOGGER


class BadCertificate(Refused):
    """
    The certificate in {cert} and the key in {key} cannot be used: one of the files is missing or
    cannot be read, or the key is protected by a passphrase, or the two do not belong together.
    Nothing was started. Check both files and their permissions, and use a key without a passphrase.
    """


class TlsCertificate:
    """A server's certificate and key, both PEM files.

    Raises:
        BadCertificate: the files cannot be read, or do not belong together.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._load_into(self.context)

    def load(self) -> None:
        """Read both files again, for example after a renewal; raises BadCertificate.

        Open connections keep the old certificate. If the files cannot be used, new connections get
        the old certificate too.
        """
        # Try a fresh context first: OpenSSL sets the certificate before it checks the key.
        self._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self._load_into(self.context)

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._cert, self._key, password=_refuse_password)
        except (OSError, ssl.SSLError, ValueError):
            raise BadCertificate(cert=self._cert, key=self._key) from None

    def validity(self) -> tuple[datetime, datetime]:
        """Return the times at which the certificate's validity starts and ends."""
        leaf = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
        return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def _refuse_password() -> str:
    """Refuse a key that has a password, since nobody can type the password when a server starts."""
    raise ValueError("this key has a password")


_LOG: Final = logging.getLogger(RELAY_LOGGER)


def install_sighup_handler(server: uvicorn.Server, certificate: TlsCertificate | None) -> None:
    """Reload the certificate on SIGHUP, in the running event loop.

    If the new certificate cannot be used, the old one is kept, and an error is logged.

    If there is no certificate, SIGHUP stops a server that was started in a terminal, as SIGTERM
    does; a server that runs as a service or under nohup ignores SIGHUP.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    if certificate is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    in_a_terminal = _has_terminal()  # checked now, while the terminal is still open

    def on_sighup() -> None:
        if certificate is not None:
            _reload_certificate(certificate)
        elif in_a_terminal:
            server.should_exit = True

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_sighup)


def _reload_certificate(certificate: TlsCertificate) -> None:
    try:
        certificate.load()
    except BadCertificate:
        event_fields = {"event": "certificate-unusable", "shown": "the one before"}
        _LOG.error("certificate-unusable", extra={"said": event_fields})


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
