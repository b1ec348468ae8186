"""Certificates for servers on loopback: writing and renewing them, and negotiating TLS."""

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
class CertificateFiles:
    """The paths of a certificate and of its private key."""

    cert: Path
    key: Path


def write_certificate_files(
    folder: Path, starts_in_days: float = -1, days_valid: float = 90, names: Iterable[str] = ()
) -> CertificateFiles:
    """Write a self-signed certificate for localhost, 127.0.0.1 and ``names``, and the private key.

    The certificate is valid from ``starts_in_days`` days after now, for ``days_valid`` days.
    """
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    hosts += [x509.DNSName(one) for one in names]
    valid_days = (starts_in_days, starts_in_days + days_valid)
    self_signed = (
        _certificate_builder(name, name, key, key, valid_days)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _write_files(folder, key, self_signed)


def write_authority_and_certificate(folder: Path, host: str) -> tuple[Path, CertificateFiles]:
    """Write the certificate of a new authority, and one that it issues for ``host`` and 127.0.0.1.

    The server's file contains both, so that clients get the whole chain. From Python 3.13 on,
    default clients reject an authority without the extensions that RFC 5280 requires.
    """
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    ca = (
        _certificate_builder(ca_name, ca_name, ca_key, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_CERTIFICATE_SIGNING_ONLY, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
    server_certificate = (
        _certificate_builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), ca_name, key, ca_key
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return ca_file, _write_files(folder, key, server_certificate, ca)


_CERTIFICATE_SIGNING_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    valid_days: tuple[float, float] = (-1, 90),
) -> x509.CertificateBuilder:
    """Return a builder for a certificate of ``key``; ``valid_days`` are counted from now."""
    now = datetime.now(UTC)
    authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=valid_days[0]))
        .not_valid_after(now + timedelta(days=valid_days[1]))
        .add_extension(authority_key_id, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _write_files(
    folder: Path, key: ec.EllipticCurvePrivateKey, *certificates: x509.Certificate
) -> CertificateFiles:
    certificate = CertificateFiles(folder / "cert.pem", folder / "key.pem")
    certificate.cert.write_bytes(
        b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    )
    certificate.key.touch(0o600)
    certificate.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate


def negotiated_tls_version(
    url: str, certificate: CertificateFiles, newest_version: ssl.TLSVersion | None = None
) -> str | None:
    """Return the TLS version negotiated with a client that trusts only this certificate.

    If ``newest_version`` is given, the client offers TLS 1.2 and all later versions up to
    ``newest_version``.
    """
    context = ssl.create_default_context(cafile=str(certificate.cert))
    if newest_version is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = newest_version
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls_connection,
    ):
        return tls_connection.version()


def renew_certificate(folder: Path, pid: int, url: str) -> CertificateFiles:
    """Replace the certificate, and send SIGHUP until the running server presents the new one."""
    renewed = write_certificate_files(folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        os.kill(pid, signal.SIGHUP)
        try:
            assert negotiated_tls_version(url, renewed) == "TLSv1.3"
        except ssl.SSLCertVerificationError:
            time.sleep(0.05)
        else:
            return renewed
    raise AssertionError("the server still presents the old certificate")
