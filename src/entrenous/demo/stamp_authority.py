"""A local RFC 3161 timestamp authority for the demonstration and for tests: ``openssl ts`` behind
HTTP.

``python -m entrenous.demo.stamp_authority --dir D --listen 127.0.0.1:0`` creates a certificate
authority in D unless it is there already, starts to serve, and prints
``{"schema":"entrenous/tsa/1","url":"http://127.0.0.1:PORT","ca":"D/ca.pem"}``. Its stamps prove
nothing to anybody else.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from entrenous.base.errors import Unreachable


class NoOpenssl(Unreachable):
    """
    The demonstration starts a time-stamp authority of its own, which needs the program openssl, but
    openssl is not installed here. Your own files and messages are not affected. Install openssl
    (Debian: apt install openssl), then run the demonstration again.
    """


SCHEMA: Final = "entrenous/tsa/1"
CA_FILE_NAME: Final = "ca.pem"
_QUERY_MEDIA_TYPE: Final = "application/timestamp-query"
_REPLY_MEDIA_TYPE: Final = "application/timestamp-reply"
_QUERY_BYTES_MAX: Final = 16 * 1024
_VALIDITY_DAYS: Final = "3650"
_OPENSSL_TIMEOUT_S: Final = 30.0
# "certs =" is left out: with it, openssl would write the certificates as an unsorted SET. That is
# not DER, and strict parsers reject it. The policy is the example in openssl's manual.
_OPENSSL_CONFIG: Final = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = Entrenous demonstration
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = signer.pem
signer_key = signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class LocalStampAuthority:
    """Keys, certificates and serial numbers in one folder; openssl signs."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("openssl")
        if program is None:
            raise NoOpenssl
        self._program = program
        self._folder = folder
        # Openssl increments the number in the serial file, so only one openssl may run at a time.
        self._one_at_a_time = threading.Lock()

    @property
    def ca(self) -> Path:
        """The path of the certificate to trust, a PEM file."""
        return self._folder / CA_FILE_NAME

    def prepare(self) -> None:
        """Create keys and certificates, unless the folder has them already."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.ca.exists():
            return
        (self._folder / "tsa.cnf").write_text(_OPENSSL_CONFIG)
        (self._folder / "serial").write_text("01\n")
        self._run_openssl(
            *_new_key_arguments("signer.key"), "-out", "signer.csr", "-subj", "/CN=Entrenous stamps"
        )
        self._make_ca()

    def answer(self, untrusted_query: bytes) -> bytes:
        """Return the DER TimeStampResp, a stamp or a refusal, for a DER TimeStampReq."""
        with self._one_at_a_time, tempfile.TemporaryDirectory(dir=self._folder) as temporary_folder:
            query, reply = Path(temporary_folder) / "query", Path(temporary_folder) / "reply"
            query.write_bytes(untrusted_query)
            self._run_openssl(
                *("ts", "-reply", "-config", "tsa.cnf", "-section", "one"),
                *("-queryfile", str(query.resolve()), "-out", str(reply.resolve())),
            )
            return reply.read_bytes()

    def _make_ca(self) -> None:
        """Create the authority's key, its certificate, and the signer's certificate. The
        authority's certificate gets its final name last, so its file shows that all other files
        exist.
        """
        self._run_openssl(
            *_new_key_arguments("ca.key"),
            "-x509",
            "-extensions",
            "ca",
            "-days",
            _VALIDITY_DAYS,
            "-out",
            "new",
        )
        self._run_openssl(
            *("x509", "-req", "-in", "signer.csr", "-CA", "new", "-CAkey", "ca.key", "-days"),
            *(_VALIDITY_DAYS, "-extfile", "tsa.cnf", "-extensions", "signer", "-out", "signer.pem"),
        )
        (self._folder / "new").rename(self.ca)

    def _run_openssl(self, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 -- a fixed program, fixed options, no shell
            [self._program, *arguments],
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=_OPENSSL_TIMEOUT_S,
        )


def _new_key_arguments(name: str) -> tuple[str, ...]:
    return (
        *("req", "-new", "-config", "tsa.cnf", "-nodes", "-newkey", "ec"),
        *("-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", name),
    )


def make_stamp_server(authority: LocalStampAuthority, host: str, port: int) -> ThreadingHTTPServer:
    """Return a bound server that answers RFC 3161 queries by POST on any path.

    Raises ValueError unless ``host`` is a loopback address: other machines must not use this
    authority.
    """
    if not ip_address(host).is_loopback:
        raise ValueError("this stamp authority serves only its own machine, e.g. on 127.0.0.1")

    class StampRequestHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if (
                self.headers.get("Content-Type") != _QUERY_MEDIA_TYPE
                or not 0 < size <= _QUERY_BYTES_MAX
            ):
                self.send_error(400)
                return
            try:
                reply = authority.answer(self.rfile.read(size))
            except (subprocess.SubprocessError, OSError):
                self.send_error(500)
                return
            self.send_response(200)
            self.send_header("Content-Type", _REPLY_MEDIA_TYPE)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Log nothing: who requested a stamp, and when, is private."""

    return ThreadingHTTPServer((host, port), StampRequestHandler)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A stamp authority for demonstrations and tests.")
    parser.add_argument("--dir", type=Path, required=True, help="folder for its keys")
    parser.add_argument("--listen", default="127.0.0.1:0", help="address and port; 0 picks one")
    chosen = parser.parse_args(arguments)
    host, _, port = chosen.listen.rpartition(":")
    authority = LocalStampAuthority(chosen.dir.resolve())
    authority.prepare()
    with make_stamp_server(authority, host, int(port)) as server:
        url = f"http://{host}:{server.server_address[1]}"
        line = {"schema": SCHEMA, "url": url, "ca": str(authority.ca)}
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
