"""Our exchange on a real socket, in plain HTTP or TLS, and a proxy that leads there."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp


class BehindClock:
    """The real time, some seconds ago: PyPI's threatexchange asks up to five seconds ago only."""

    def __init__(self, behind_s: int = 0) -> None:
        self.behind = timedelta(seconds=behind_s)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def wind(self, **by: float) -> None:
        self.behind -= timedelta(**by)


@contextmanager
def serving(app: ASGIApp, cert: tuple[Path, Path] | None = None) -> Iterator[int]:
    """The port at which it is served until the end."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
        if cert is not None:
            config.ssl_certfile, config.ssl_keyfile = map(str, cert)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(5)


@contextmanager
def leading_to(port: int) -> Iterator[str]:
    """A proxy (CONNECT) that leads to that port of this machine, whatever host was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        threading.Thread(target=_accept, args=(taken, port), daemon=True).start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        taken.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _accept(taken: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = taken.accept()
            threading.Thread(target=_connect, args=(client, port), daemon=True).start()


def _connect(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as there:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += client.recv(4096)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_pump, args=(there, client), daemon=True)
        back.start()
        _pump(client, there)
        back.join()


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def own_authority(folder: Path, host: str) -> tuple[Path, Path, Path]:
    """A test authority's certificate, and a server's certificate and key for that host."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    ca = _certificate(ca_name, ca_name, ca_key, ca_key, x509.BasicConstraints(True, None))
    names = x509.SubjectAlternativeName(
        [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    cert = _certificate(own, ca_name, key, ca_key, names)
    files = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(ca.public_bytes(pem))
    files[1].write_bytes(cert.public_bytes(pem))
    files[2].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    for one in extensions:
        builder = builder.add_extension(one, isinstance(one, x509.BasicConstraints))
    return builder.sign(signer, hashes.SHA256())


__all__ = ["BehindClock", "leading_to", "own_authority", "serving"]
