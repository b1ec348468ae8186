"""Tests of TLS at a relay and at nginx in front of it: certificates, signals, nginx's limits."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from entrenous.base.environment import BadSetting
from entrenous.base.errors import RelayNotAuthenticated, RelayUnreachable
from entrenous.base.identifiers import MailboxId
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.encodings import to_base64url
from tests.carry.relays import SampleMessage, download_bytes, in_three_days
from tests.deterministic import SeededRandomSource
from tests.nginx import needs_nginx, run_nginx
from tests.ready import run_program, start_program
from tests.real.processes import wait_until
from tests.serving.certificates import (
    CertificateFiles,
    negotiated_tls_version,
    renew_certificate,
    write_certificate_files,
)
from tests.serving.slow_clients import open_connection

pytestmark = pytest.mark.real


@contextmanager
def running_relay(
    folder: Path, more_settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    settings = folder / "relay.toml"
    settings.write_text(f'listen = "127.0.0.1:0"\nfree_mb_min = 0\nlog = "json"\n{more_settings}')
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--settings", str(settings)]
    with (
        (folder / "log").open("ab") as log,
        start_program(
            [*program, "--json"], stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


@contextmanager
def courier_trusting(certificate: CertificateFiles) -> Iterator[HttpCourier]:
    """Yield a courier that trusts only this certificate."""
    with new_relay_client(certificate.cert) as web:
        yield HttpCourier(web)


def exchange_message(courier: HttpCourier, url: str) -> None:
    """Create a mailbox, send a message with a blob of 3 MB to it, and open the message."""
    message = SampleMessage(until=in_three_days())
    message.blob = SeededRandomSource().token(3_000_000)
    courier.create_mailbox(url, message.mailbox, message.owner)
    courier.register_token(url, message.mailbox, message.owner, message.send_token())
    courier.upload_blob(url, message.token, message.blob_deposit(), message.blob)
    courier.post(url, message.token, message.envelope(1))
    (waiting,) = courier.waiting_envelopes(url, message.mailbox, message.owner, 0)
    assert waiting.sealed == message.sealed
    assert courier.open_share(url, message.id, message.open, message.new_attempt()) == message.share
    assert download_bytes(courier, url, message.blob_id, message.fetch) == message.blob


@pytest.mark.threat("hostile-network")
def test_relay_with_its_own_certificate_speaks_only_tls_1_3(tmp_path: Path) -> None:
    certificate = write_certificate_files(tmp_path)
    with running_relay(tmp_path, 'tls_cert = "cert.pem"\ntls_key = "key.pem"') as (process, url):
        assert url.startswith("https://")
        with courier_trusting(certificate) as courier:
            exchange_message(courier, url)
        assert negotiated_tls_version(url, certificate) == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            negotiated_tls_version(url, certificate, ssl.TLSVersion.TLSv1_2)
        renew_certificate(tmp_path, process.pid, url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    _assert_no_addresses_logged(tmp_path / "log")


def test_incomplete_renewal_keeps_the_old_certificate(tmp_path: Path) -> None:
    certificate = write_certificate_files(tmp_path)
    old = (certificate.cert.read_bytes(), certificate.key.read_bytes())
    with running_relay(tmp_path, 'tls_cert = "cert.pem"\ntls_key = "key.pem"') as (process, url):
        write_certificate_files(tmp_path)
        certificate.key.write_bytes(old[1])  # the new certificate, and the key of the old one
        process.send_signal(signal.SIGHUP)
        log = tmp_path / "log"
        assert wait_until(lambda: b"certificate-unusable" in log.read_bytes(), 10)
        certificate.cert.write_bytes(old[0])  # the client below trusts the certificate in this file
        assert negotiated_tls_version(url, certificate) == "TLSv1.3"
        renew_certificate(tmp_path, process.pid, url)
    assert str(tmp_path) not in log.read_text()


def test_sighup_does_not_stop_a_relay_without_a_certificate(tmp_path: Path) -> None:
    with running_relay(tmp_path, "") as (process, url), new_relay_client() as web:
        process.send_signal(signal.SIGHUP)
        assert web.get(f"{url}/v1/status").status_code == 200
        assert process.poll() is None


def test_relay_stops_cleanly_when_its_terminal_closes(tmp_path: Path) -> None:
    terminal, terminal_end = os.openpty()
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--listen", "127.0.0.1:0"]
    program += ["--data", str(tmp_path / "relay")]
    with subprocess.Popen(
        ["env", "--default-signal=HUP", "setsid", "--ctty", *program],
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal_end),
    ) as process:
        os.close(terminal_end)
        try:
            while b"http://" not in os.read(terminal, 1000):
                pass
            os.close(terminal)
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.threat("hostile-network")
def test_client_sends_no_request_to_an_unauthenticated_relay(tmp_path: Path) -> None:
    write_certificate_files(tmp_path)
    other = write_certificate_files(tmp_path / "other")
    with running_relay(tmp_path, 'tls_cert = "cert.pem"\ntls_key = "key.pem"') as (_, url):
        for web in (new_relay_client(), new_relay_client(other.cert)):
            with web, pytest.raises(RelayNotAuthenticated, match="could not prove"):
                HttpCourier(web, patience_s=60).status(url)
    assert "status" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("content", [b"", b"no certificates", None])
def test_missing_ca_file_or_one_without_certificates_is_reported(
    tmp_path: Path, content: bytes | None
) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(BadSetting, match="ENTRENOUS_RELAY_CA"):
        new_relay_client(ca_file)


def _assert_no_addresses_logged(log: Path) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"put_blob", "post_envelope", "get_blob"} <= {line["event"] for line in lines}
    assert "127.0.0.1" not in log.read_text()
    assert {name for line in lines for name in line} == {
        *("at", "level", "event", "status", "size_bits")
    }


def test_relay_does_not_start_with_an_unusable_key(tmp_path: Path) -> None:
    write_certificate_files(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    (tmp_path / "relay.toml").write_text('tls_cert = "cert.pem"\ntls_key = "key.pem"')
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--settings"]
    result = run_program([*program, str(tmp_path / "relay.toml")], text=True)
    assert result.returncode == 3
    assert "cannot be used" in result.stderr
    assert not (tmp_path / "relay-data").exists()


@pytest.mark.threat("hostile-network")
@needs_nginx
def test_relay_behind_nginx_speaks_only_tls_1_3(tmp_path: Path) -> None:
    certificate = write_certificate_files(tmp_path)
    with (
        running_relay(tmp_path, "behind_proxy = true") as (_, plain),
        run_nginx(tmp_path, "nginx.conf", certificate, _nginx_replacements(plain)) as url,
        courier_trusting(certificate) as courier,
    ):
        exchange_message(courier, url)
        assert negotiated_tls_version(url, certificate) == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            negotiated_tls_version(url, certificate, ssl.TLSVersion.TLSv1_2)
        _assert_mailbox_creation_is_limited(courier, url)
    _assert_no_addresses_logged(tmp_path / "log")


@pytest.mark.threat("relay-starved")
@needs_nginx
def test_nginx_limits_waiting_requests_per_network(tmp_path: Path) -> None:
    """Four wake-up requests from one IPv6 network may wait, and a fifth is refused. nginx still
    passes on a status request from this network, and wake-up requests from other networks. The
    test sends each client address in a header that nginx's real_ip module reads.
    """
    certificate, message = write_certificate_files(tmp_path), SampleMessage()
    trust_test_addresses = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP; "
    replacements = {"limit_conn entrenous_wakes 192": "limit_conn entrenous_wakes 4"}
    replacements["client_header_timeout"] = f"{trust_test_addresses}client_header_timeout"
    with (
        running_relay(tmp_path, "behind_proxy = true") as (_, plain),
        run_nginx(
            tmp_path, "nginx.conf", certificate, _nginx_replacements(plain) | replacements
        ) as url,
        courier_trusting(certificate) as courier,
        ExitStack() as waiting,
    ):
        courier.create_mailbox(url, message.mailbox, message.owner)
        wake = f"/v1/mailboxes/{to_base64url(message.mailbox)}/wake?seconds="
        for number in range(4):
            connection = waiting.enter_context(open_connection(url, certificate))
            connection.sendall(_get_request(f"{wake}60", message, f"2001:db8:0:1::{number}"))

        def request_status(path: str, address: str) -> int:
            with open_connection(url, certificate) as other:
                other.sendall(_get_request(path, message, address))
                return int(other.recv(4096).split()[1])

        assert wait_until(lambda: request_status(f"{wake}0", "2001:db8:0:1:ffff::5") == 503, 20)
        assert request_status("/v1/status", "2001:db8:0:1::1") == 200
        assert request_status(f"{wake}0", "2001:db8:0:2::1") == 204
        assert request_status(f"{wake}0", "192.0.2.1") == 204


def _get_request(path: str, message: SampleMessage, address: str) -> bytes:
    """Return a GET request by the mailbox's owner that claims to come from ``address``."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: {address}\r\n"
        f"Authorization: Bearer {to_base64url(message.owner.reveal())}\r\n"
        "Entrenous-Protocol: 2\r\n\r\n"
    ).encode()


def _nginx_replacements(relay_url: str) -> dict[str, str]:
    """Return the replacements for the example configuration of nginx."""
    address = relay_url.removeprefix("http://")
    return {"127.0.0.1:7801": address, "relay.example.org": "localhost"}


def _assert_mailbox_creation_is_limited(courier: HttpCourier, url: str) -> None:
    """Try to create 16 mailboxes; assert that the first refusal comes after 5 to 15 of them."""
    created = [_try_to_create_mailbox(courier, url, number) for number in range(1, 17)]
    assert 5 <= created.index(False) <= 15


def _try_to_create_mailbox(courier: HttpCourier, url: str, number: int) -> bool:
    try:
        courier.create_mailbox(url, MailboxId(bytes([number]) * 16), SampleMessage().owner)
    except RelayUnreachable:
        return False
    return True
