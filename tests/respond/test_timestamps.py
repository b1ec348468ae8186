"""Tests of verifying public timestamp tokens, and of a stamp authority with openssl on loopback."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.base.errors import InvalidTimestamp
from entrenous.crypto.rfc3161 import verify_timestamp
from entrenous.demo.stamp_authority import LocalStampAuthority, make_stamp_server
from entrenous.respond.client.stamp_authority import (
    REPLY_BYTES_MAX,
    REPLY_MEDIA_TYPE,
    HttpTimestampAuthority,
    verify_stamp,
)
from entrenous.respond.evidence import AuthorityUnreachable, StampRefused
from entrenous.respond.nouns import Stamp

TOKENS_FOLDER = Path(__file__).parents[3] / "shared" / "judges" / "rfc3161"
MANIFEST = b'{"schema":"a manifest"}'
needs_public_tokens = pytest.mark.skipif(
    not TOKENS_FOLDER.exists(), reason="../shared/judges/rfc3161 is not here"
)
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: apt install openssl"
)


def verify_public_token(
    folder: str, token: str, data: bytes, chain_folder: str | None = None
) -> datetime:
    authorities = (TOKENS_FOLDER / (chain_folder or folder) / "ts_chain.pem").read_bytes()
    return verify_timestamp((TOKENS_FOLDER / folder / token).read_bytes(), data, authorities)


@needs_public_tokens
@pytest.mark.parametrize(
    ("folder", "token", "when"),
    [
        ("sigstage", "response-sha256.tsr", datetime(2025, 5, 9, 11, 58, 55, tzinfo=UTC)),
        ("sigstage", "response-sha384.tsr", datetime(2025, 5, 9, 11, 58, 55, tzinfo=UTC)),
        ("sigstage", "response-sha512.tsr", datetime(2025, 5, 9, 11, 58, 56, tzinfo=UTC)),
        ("identrust", "issue-104.tsr", datetime(2025, 3, 11, 8, 52, 8, tzinfo=UTC)),
        ("test_tsa", "response.tsr", datetime(2024, 10, 8, 15, 40, 32, tzinfo=UTC)),
    ],
)
def test_valid_stamps_of_public_authorities_verify(folder: str, token: str, when: datetime) -> None:
    assert verify_public_token(folder, token, b"hello") == when


@needs_public_tokens
def test_stamp_stays_valid_after_its_certificate_expired() -> None:
    payload = (TOKENS_FOLDER / "sigstore.mock" / "payload").read_bytes()
    # The certificate expired in 2024.
    when = verify_public_token("sigstore.mock", "response-expired.tsr", payload)
    assert when == datetime(2023, 2, 1, tzinfo=UTC)


@pytest.mark.threat("evidence-changed")
@needs_public_tokens
@pytest.mark.parametrize(
    ("folder", "token", "data", "chain_folder"),
    [
        ("sigstage", "response-invalid-signature.tsr", b"hello", None),
        ("sigstage", "response-sha256.tsr", b"hellO", None),
        ("sigstage", "response-sha256.tsr", b"hello", "identrust"),
        ("sigstage", "response-sha256.tsr", b"hello", "test_tsa"),
        ("test_tsa", "other_response.tsr", b"hello", "sigstage"),
        ("sigstore.mock", "response-expired.tsr", b"hello", None),
    ],
)
def test_invalid_or_untrusted_public_stamps_are_refused(
    folder: str, token: str, data: bytes, chain_folder: str | None
) -> None:
    with pytest.raises(InvalidTimestamp):
        verify_public_token(folder, token, data, chain_folder)


@needs_public_tokens
def test_stamp_without_certificates_needs_the_signer_in_the_trusted_file() -> None:
    # ts_chain.pem has the certificate of the signer.
    when = verify_public_token("sigstage", "response-no-embedded-cert.tsr", b"hello")
    assert when == datetime(2025, 6, 18, 8, 13, 2, tzinfo=UTC)
    token = (TOKENS_FOLDER / "sigstage" / "response-no-embedded-cert.tsr").read_bytes()
    chain = (TOKENS_FOLDER / "sigstage" / "ts_chain.pem").read_bytes()
    end = b"-----END CERTIFICATE-----\n"
    root = [part + end for part in chain.split(end) if part.strip()][-1]
    with pytest.raises(InvalidTimestamp):
        verify_timestamp(token, b"hello", root)


@needs_public_tokens
def test_added_certificates_do_not_change_the_result() -> None:
    """The signed part of the token names the signer, but does not cover the added certificates."""
    genuine = verify_public_token("test_tsa", "response.tsr", b"hello")
    assert verify_public_token("test_tsa", "response-injected-certs.tsr", b"hello") == genuine
    with pytest.raises(InvalidTimestamp):
        verify_public_token("test_tsa", "response-injected-certs.tsr", b"hello", "sigstage")


@pytest.fixture(scope="module")
def local_authority(tmp_path_factory: pytest.TempPathFactory) -> LocalStampAuthority:
    authority = LocalStampAuthority(tmp_path_factory.mktemp("tsa"))
    authority.prepare()
    return authority


@pytest.fixture(scope="module")
def authority(local_authority: LocalStampAuthority) -> Iterator[HttpTimestampAuthority]:
    with (
        run_server(make_stamp_server(local_authority, "127.0.0.1", 0)) as url,
        httpx.Client() as client,
    ):
        yield HttpTimestampAuthority(url, local_authority.ca.read_bytes(), client)


@contextmanager
def run_server(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run a server in a thread, and yield its URL."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.real
@needs_openssl
def test_openssl_accepts_our_stamp_and_refuses_a_changed_manifest(
    authority: HttpTimestampAuthority, local_authority: LocalStampAuthority, tmp_path: Path
) -> None:
    stamp = authority.stamp(MANIFEST)
    assert verify_with_openssl(stamp, MANIFEST, local_authority, tmp_path) == (0, True)
    status, verified = verify_with_openssl(stamp, MANIFEST + b" ", local_authority, tmp_path)
    assert (status != 0, verified) == (True, False)
    for trusted in (local_authority.ca.read_bytes(), None):
        verify_stamp(stamp, trusted)
        with pytest.raises(InvalidTimestamp, match="does not state the time"):
            verify_stamp(replace(stamp, at=stamp.at + timedelta(seconds=1)), trusted)
        with pytest.raises(InvalidTimestamp, match="made for other data"):
            verify_stamp(replace(stamp, manifest=MANIFEST + b" "), trusted)


def verify_with_openssl(
    stamp: Stamp, manifest: bytes, local_authority: LocalStampAuthority, tmp_path: Path
) -> tuple[int, bool]:
    (tmp_path / "token").write_bytes(stamp.token)
    (tmp_path / "manifest").write_bytes(manifest)
    done = subprocess.run(
        [
            "openssl",
            "ts",
            "-verify",
            "-in",
            "token",
            "-data",
            "manifest",
            "-CAfile",
            local_authority.ca,
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    return done.returncode, b"Verification: OK" in done.stdout + done.stderr


@pytest.mark.real
@needs_openssl
def test_stamp_has_its_time_manifest_and_trusted_certificate(
    authority: HttpTimestampAuthority, local_authority: LocalStampAuthority
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    stamp = authority.stamp(MANIFEST)
    assert before <= stamp.at <= datetime.now(UTC)
    assert stamp.manifest == MANIFEST
    assert stamp.authorities == local_authority.ca.read_bytes()
    assert MANIFEST not in stamp.token


@pytest.mark.real
@needs_openssl
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_token_states_another_time_or_other_bytes(
    data: st.DataObject, authority: HttpTimestampAuthority
) -> None:
    """Some parts of a token are not signed, so a changed token may still be valid."""
    stamp = cached_stamp(authority)
    at = data.draw(st.integers(0, 2**20)) % len(stamp.token)  # the token's length varies
    bit = 1 << data.draw(st.integers(0, 7))
    changed = stamp.token[:at] + bytes([stamp.token[at] ^ bit]) + stamp.token[at + 1 :]
    with pytest.raises(InvalidTimestamp):
        verify_timestamp(changed, MANIFEST + b" ", stamp.authorities)
    try:
        assert verify_timestamp(changed, MANIFEST, stamp.authorities) == stamp.at
    except InvalidTimestamp:
        return


_CACHED_STAMPS: list[Stamp] = []


def cached_stamp(authority: HttpTimestampAuthority) -> Stamp:
    if not _CACHED_STAMPS:
        _CACHED_STAMPS.append(authority.stamp(MANIFEST))
    return _CACHED_STAMPS[0]


@given(st.binary(max_size=64))
def test_random_bytes_are_no_stamp(data: bytes) -> None:
    with pytest.raises(InvalidTimestamp, match="cannot be read"):
        verify_timestamp(data, MANIFEST, b"")


@pytest.mark.real
@needs_openssl
@pytest.mark.parametrize("trusted", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x30\x03abc"])
def test_invalid_trusted_certificates_are_reported(
    trusted: bytes, authority: HttpTimestampAuthority
) -> None:
    with pytest.raises(InvalidTimestamp, match="certificate file"):
        verify_timestamp(cached_stamp(authority).token, MANIFEST, trusted)


@pytest.mark.real
@needs_openssl
def test_stamp_of_an_untrusted_authority_is_refused(
    local_authority: LocalStampAuthority, tmp_path: Path
) -> None:
    other = LocalStampAuthority(tmp_path / "other")
    other.prepare()
    with (
        run_server(make_stamp_server(local_authority, "127.0.0.1", 0)) as url,
        httpx.Client() as client,
    ):
        client_of_local = HttpTimestampAuthority(url, other.ca.read_bytes(), client)
        with pytest.raises(InvalidTimestamp, match="does not lead to an authority"):
            client_of_local.stamp(MANIFEST)


def fixed_answer_server(status: int, content_type: str, body: bytes) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


REJECTION = bytes.fromhex("30053003020102")  # TimeStampResp { PKIStatusInfo { status rejection } }


@pytest.mark.real
@needs_openssl
@pytest.mark.parametrize(
    ("status", "content_type", "body", "error", "why"),
    [
        (500, REPLY_MEDIA_TYPE, b"", StampRefused, "HTTP status 500"),
        (302, REPLY_MEDIA_TYPE, b"", StampRefused, "HTTP status 302"),
        (200, "text/html", b"<html>", StampRefused, "not that of a stamp authority"),
        (200, REPLY_MEDIA_TYPE, bytes(REPLY_BYTES_MAX + 1), StampRefused, "too long"),
        (200, REPLY_MEDIA_TYPE, b"nonsense", InvalidTimestamp, "cannot be read"),
        (200, REPLY_MEDIA_TYPE, REJECTION, StampRefused, "status 2"),
    ],
)
def test_unexpected_answer_is_refused_with_its_reason(  # noqa: PLR0913, PLR0917 -- a table's row
    status: int,
    content_type: str,
    body: bytes,
    error: type[Exception],
    why: str,
    local_authority: LocalStampAuthority,
) -> None:
    with (
        run_server(fixed_answer_server(status, content_type, body)) as url,
        httpx.Client() as client,
    ):
        authority = HttpTimestampAuthority(url, local_authority.ca.read_bytes(), client)
        with pytest.raises(error, match=why):
            authority.stamp(MANIFEST)


@pytest.mark.real
@needs_openssl
def test_replayed_answer_is_refused(
    authority: HttpTimestampAuthority, local_authority: LocalStampAuthority
) -> None:
    replayed = cached_stamp(authority).token  # for the same manifest, but another nonce
    with (
        run_server(fixed_answer_server(200, REPLY_MEDIA_TYPE, replayed)) as url,
        httpx.Client() as client,
    ):
        client_of_replay = HttpTimestampAuthority(url, local_authority.ca.read_bytes(), client)
        with pytest.raises(InvalidTimestamp, match="a different request"):
            client_of_replay.stamp(MANIFEST)


@pytest.mark.real
@needs_openssl
def test_unreachable_authority_is_reported(local_authority: LocalStampAuthority) -> None:
    server = fixed_answer_server(200, REPLY_MEDIA_TYPE, b"")
    server.server_close()
    with httpx.Client() as client:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        authority = HttpTimestampAuthority(url, local_authority.ca.read_bytes(), client)
        with pytest.raises(AuthorityUnreachable, match=r"no\snew\sstamp"):
            authority.stamp(MANIFEST)
