"""Running gates: TLS, clients behind nginx, and limits by client address."""

import hashlib
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from entrenous.cli import run
from entrenous.device.client.http_courier import new_relay_client
from entrenous.fingerprint.nouns import Fingerprint, PicturePrint
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.nouns import GateUnreachable
from entrenous.stop.registration import ClaimRequest, ClaimState
from entrenous.stop.registration_format import write_registration_request
from tests.nginx import needs_nginx, run_nginx
from tests.serving.certificates import (
    CertificateFiles,
    negotiated_tls_version,
    renew_certificate,
    write_certificate_files,
)
from tests.serving.slow_clients import assert_refuses_endless_heads
from tests.sizes import size
from tests.stop.commands.gates import start_gate, wait_if_hour_ends_within

pytestmark = pytest.mark.real

ADDRESS, OTHER_ADDRESS = "127.0.0.1", "127.0.0.2"  # both are addresses of this machine
TLS_SETTINGS = 'tls_cert = "cert.pem"\ntls_key = "key.pem"\n'


def make_claim_request(number: int) -> ClaimRequest:
    """Return a claim request whose hash and holder depend on ``number``."""
    own = hashlib.sha256(number.to_bytes(4)).digest()
    return ClaimRequest(PicturePrint(Fingerprint("pdq", own, 90)), own)


def make_gate_folder(tmp_path: Path, toml: str) -> Path:
    data = tmp_path / "gate"
    data.mkdir()
    appeal = 'appeal_url = "https://a.example/appeal"\n'
    (data / "gate.toml").write_text(appeal + toml)
    return data


@contextmanager
def open_client(
    url: str, certificate: CertificateFiles | None, address: str
) -> Iterator[httpx.Client]:
    """Yield a client that connects from ``address``.

    If a certificate is given, the client trusts no other certificate.
    """
    context = ssl.create_default_context(
        cafile=None if certificate is None else str(certificate.cert)
    )
    transport = httpx.HTTPTransport(local_address=address, verify=context)
    with httpx.Client(transport=transport, base_url=url, timeout=60, trust_env=False) as web:
        yield web


def send_claims(web: httpx.Client, numbers: range, **headers: str) -> list[int]:
    bodies = (write_registration_request(make_claim_request(number)) for number in numbers)
    return [web.post("/v1/claims", content=body, headers=headers).status_code for body in bodies]


@pytest.mark.threat("hostile-network")
def test_gate_serves_only_tls_1_3_and_reloads_its_certificate(tmp_path: Path) -> None:
    data = make_gate_folder(tmp_path, TLS_SETTINGS)
    certificate = write_certificate_files(data)
    log = tmp_path / "log"
    with start_gate(data, "--no-slow-look", log=log) as gate:
        assert gate.url.startswith("https://")
        with new_relay_client(certificate.cert) as web:
            claim = RegistrationClient(gate.url, web).register(make_claim_request(1))
            assert claim.state is ClaimState.WAITING
        with new_relay_client() as stranger, pytest.raises(GateUnreachable):
            RegistrationClient(gate.url, stranger).register(make_claim_request(2))
        assert negotiated_tls_version(gate.url, certificate) == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            negotiated_tls_version(gate.url, certificate, ssl.TLSVersion.TLSv1_2)
        assert_refuses_endless_heads(gate.url, certificate)
        new = renew_certificate(data, gate.pid, gate.url)
        with new_relay_client(new.cert) as web:
            assert RegistrationClient(gate.url, web).status(claim.claim) == claim
    assert log.read_text() == ""


def test_invalid_tls_key_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_gate_folder(tmp_path, TLS_SETTINGS)
    write_certificate_files(data)
    (data / "key.pem").write_text("no key")
    assert run(["gate", "run", "--data", str(data)], {}) == 3
    assert "cannot be used" in capsys.readouterr().err
    assert not (data / "bank.db").exists()


@needs_nginx
@pytest.mark.threat("claims-flood")
def test_clients_behind_nginx_are_counted_separately(tmp_path: Path) -> None:
    data = make_gate_folder(tmp_path, 'claims_per_hour = 3\ntrusted_proxies = ["127.0.0.1"]\n')
    certificate, log = write_certificate_files(tmp_path), tmp_path / "log"
    wait_if_hour_ends_within(60)
    with (
        start_gate(data, "--no-slow-look", log=log) as gate,
        run_nginx(tmp_path, "nginx-gate.conf", certificate, _nginx_replacements(gate.url)) as url,
        open_client(url, certificate, ADDRESS) as client,
        open_client(url, certificate, OTHER_ADDRESS) as other_client,
    ):
        assert negotiated_tls_version(url, certificate) == "TLSv1.3"
        assert send_claims(other_client, range(9)) == [201] * 3 + [429] * 6
        forged = {"X-Forwarded-For": "203.0.113.9"}
        assert send_claims(other_client, range(9, 12), **forged) == [429] * 3
        assert send_claims(client, range(20, 24), **forged) == [201] * 3 + [429]
        assert other_client.get("/v1/status").json()["state"] == "serving"
        # Ten wrong keys are allowed at once, then one every six seconds.
        assert 429 in (_send_wrong_key(other_client) for _ in range(60))
        assert _send_wrong_key(client) == 401
    assert log.read_text() == ""


def _send_wrong_key(web: httpx.Client) -> int:
    return web.get("/exchange/ncmec/v2/members", auth=("partner", "wrong")).status_code


def _nginx_replacements(gate_url: str) -> dict[str, str]:
    return {"127.0.0.1:7802": gate_url.removeprefix("http://"), "gate.example.org": "localhost"}


@pytest.mark.threat("claims-flood")
def test_limits_count_only_readable_addresses_from_trusted_proxies(tmp_path: Path) -> None:
    data = make_gate_folder(
        tmp_path, f'claims_per_hour = 3\ntrusted_proxies = ["{OTHER_ADDRESS}"]\n'
    )
    wait_if_hour_ends_within(60)
    with (
        start_gate(data, "--no-slow-look") as gate,
        open_client(gate.url, None, ADDRESS) as client,
        open_client(gate.url, None, OTHER_ADDRESS) as proxy,
    ):
        answers = [
            send_claims(
                client, range(number, number + 1), **{"X-Forwarded-For": f"203.0.113.{number}"}
            )
            for number in range(6)
        ]
        assert answers == [[201]] * 3 + [[429]] * 3
        # A claim with a malformed header counts as a claim from the proxy's own address.
        entry = [{"X-Forwarded-For": entry} for entry in ("unknown", "_a", "", "203.0.113.1, x")]
        answers = [
            send_claims(proxy, range(9 + n, 10 + n), **header) for n, header in enumerate(entry)
        ]
        assert answers == [[201]] * 3 + [[429]]
        # Addresses of one /64 network.
        networks = [f"2001:db8:0:1::{number}" for number in range(4)]
        answers = [
            send_claims(proxy, range(20 + n, 21 + n), **{"X-Forwarded-For": address})
            for n, address in enumerate(networks)
        ]
        assert answers == [[201]] * 3 + [[429]]


@pytest.mark.threat("claims-flood")
def test_claims_of_one_address_to_a_running_gate_are_limited(tmp_path: Path) -> None:
    """A gate with default settings accepts twenty claims of one address per clock hour."""
    with start_gate(tmp_path / "gate", "--no-slow-look") as gate:
        conn = HTTPConnection(gate.url.removeprefix("http://"), timeout=60)
        accepted = hours_begun = 0
        wait_s = 3600
        for number in range(size(1_000, 10_000)):
            conn.request(
                "POST", "/v1/claims", write_registration_request(make_claim_request(number))
            )
            with conn.getresponse() as answer:
                problem = answer.read()
                if answer.status == 201:
                    accepted += 1
                    continue
            assert answer.status == 429
            retry_after_s = int(answer.headers["Retry-After"])
            # If the wait is longer than the wait before, a new clock hour has begun.
            hours_begun += retry_after_s > wait_s
            wait_s = retry_after_s
        conn.close()
        assert 20 * max(1, hours_begun) <= accepted <= 20 * (1 + hours_begun)
        assert json.loads(problem)["type"] == "urn:entrenous:unreachable:gate-busy"
        assert gate.get_json("/v1/status")["claims"] == accepted
        # A claim from another address is still accepted.
        with open_client(gate.url, None, OTHER_ADDRESS) as other:
            assert send_claims(other, range(20_000, 20_001)) == [201]
