"""Certificates for servers on this machine, generated for each test."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


def certificate(
    folder: Path, begins_days: float = -1, lasts_days: float = 90, names: Iterable[str] = ()
) -> Pair:
    """A self-signed certificate of localhost, 127.0.0.1 and other names, and its key."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    since = datetime.now(UTC) + timedelta(days=begins_days)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    hosts += [x509.DNSName(one) for one in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=lasts_days))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    pair.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair.key.touch(0o600)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair


def version_of(url: str, pair: Pair, newest: ssl.TLSVersion | None = None) -> str | None:
    """Return the TLS version negotiated with a client that trusts only this certificate."""
    context = ssl.create_default_context(cafile=str(pair.cert))
    if newest is not None:
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, newest
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as line,
        context.wrap_socket(line, server_hostname="localhost") as secure,
    ):
        return secure.version()


def renewed(folder: Path, process: int, url: str) -> Pair:
    """Replace the certificate, and wait until the server shows the new one after SIGHUP, without
    having stopped.
    """
    new = certificate(folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        os.kill(process, signal.SIGHUP)
        try:
            assert version_of(url, new) == "TLSv1.3"
        except ssl.SSLCertVerificationError:
            time.sleep(0.05)
        else:
            return new
    raise AssertionError("the old certificate is still shown")
