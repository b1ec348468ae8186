"""Tests of reaching relays through a SOCKS5 proxy, and of the setting ENTRENOUS_PROXY."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.environment import BadSetting, Proxy, SystemClock, read_settings
from entrenous.base.errors import NotEncrypted, OnionNeedsProxy, ProxyUnreachable, RelayUnreachable
from entrenous.carry.http.relay_app import relay_app
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from tests.carry.relays import SampleMessage, serve_app
from tests.deterministic import SeededRandomSource, SettableClock
from tests.device.client.socks import SocksProxy, socks_proxy
from tests.real.hostile import HostileRelay, run_hostile_relay
from tests.real.processes import Shell
from tests.serving.certificates import CertificateFiles, write_certificate_files
from tests.village.relay import relay_with_courier

RELAY_URL = "https://relay.test"
ONION_URL = f"https://{'a' * 55}d.onion"

pytestmark = pytest.mark.real


@pytest.fixture
def resolved_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which ``getaddrinfo`` appends each host; other name lookups fail."""
    names, real = list[str](), socket.getaddrinfo

    def record_name(host: Any, *arguments: Any, **options: Any) -> Any:
        names.append(str(host))
        return real(host, *arguments, **options)

    def fail(*_: Any) -> Any:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", record_name)
    for other in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, other, fail)
    return names


@pytest.fixture
def certificate_files(tmp_path: Path) -> CertificateFiles:
    return write_certificate_files(
        tmp_path, names=("relay.test", ONION_URL.removeprefix("https://"))
    )


@pytest.fixture
def relay(certificate_files: CertificateFiles) -> Iterator[HostileRelay]:
    with run_hostile_relay(certificate_files) as relay:
        real, _ = relay_with_courier(RELAY_URL, SettableClock(), SeededRandomSource("relay"))
        relay.app = relay_app(real)
        yield relay


@pytest.fixture
def proxy(relay: HostileRelay) -> Iterator[SocksProxy]:
    with socks_proxy(relay.port) as proxy:
        yield proxy


def send_requests_with_and_without_tokens(
    courier: HttpCourier, url: str, message: SampleMessage
) -> None:
    """Send a request without a token, two with the owner's token, and two with a send token."""
    courier.create_mailbox(url, message.mailbox, message.owner)
    courier.register_token(url, message.mailbox, message.owner, message.send_token())
    assert courier.waiting_envelopes(url, message.mailbox, message.owner, 0) == []
    courier.upload_blob(url, message.token, message.blob_deposit(), message.blob)
    courier.post(url, message.token, message.envelope(1))


def proxy_setting(proxy: SocksProxy) -> Proxy:
    return Proxy("127.0.0.1", proxy.port)


@pytest.mark.threat("sender-linked")
@pytest.mark.parametrize("url", [RELAY_URL, ONION_URL])
def test_only_the_proxy_resolves_names_and_each_token_has_its_own_credentials(
    url: str,
    certificate_files: CertificateFiles,
    proxy: SocksProxy,
    relay: HostileRelay,
    resolved_names: list[str],
) -> None:
    with new_relay_client(certificate_files.cert, proxy_setting(proxy)) as web:
        send_requests_with_and_without_tokens(HttpCourier(web), url, SampleMessage())
    assert set(resolved_names) == {"127.0.0.1"}  # this is the address of the proxy
    assert {(one.by_name, one.host) for one in proxy.requests} == {
        (True, url.removeprefix("https://"))
    }
    credentials = [one.credentials for one in proxy.requests]
    assert len(credentials) == len(set(credentials)) == 3
    assert len({one.header(b"authorization") for one in relay.recorded_requests}) == 3
    # A new client uses new credentials.
    with new_relay_client(certificate_files.cert, proxy_setting(proxy)) as web:
        HttpCourier(web).waiting_envelopes(url, SampleMessage().mailbox, SampleMessage().owner, 0)
    assert proxy.requests[-1].credentials not in credentials


@pytest.mark.threat("sender-linked")
def test_commands_use_the_proxy(
    certificate_files: CertificateFiles,
    proxy: SocksProxy,
    relay: HostileRelay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program uses the proxy in ``setup`` and in ``inbox``."""
    relay.app = relay_app(
        relay_with_courier(RELAY_URL, SystemClock(), SeededRandomSource("relay"))[0]
    )
    monkeypatch.setenv("ENTRENOUS_PROXY", f"socks5h://{proxy_setting(proxy)}")
    monkeypatch.setenv("ENTRENOUS_RELAY_CA", str(certificate_files.cert))
    ana = Shell("ana", tmp_path / "ana")
    ana.run("setup", "--name", "ana", "--relay", RELAY_URL)
    before = len(proxy.requests)
    ana.run("inbox")
    assert len(proxy.requests) > before > 0
    assert {one.host for one in proxy.requests} == {"relay.test"}
    monkeypatch.setenv("ENTRENOUS_PROXY", "socks5://127.0.0.1:9050")
    assert b"socks5h://HOST:PORT" in ana.run("inbox", status=3).err


def test_local_relay_is_reached_without_proxy(
    proxy: SocksProxy, certificate_files: CertificateFiles
) -> None:
    real, _ = relay_with_courier("", SettableClock(), SeededRandomSource("relay"))
    with (
        serve_app(relay_app(real)) as url,
        new_relay_client(certificate_files.cert, proxy_setting(proxy)) as web,
    ):
        HttpCourier(web).status(url)
        with pytest.raises(NotEncrypted):
            HttpCourier(web).status("http://relay.test")
        with pytest.raises(NotEncrypted):
            HttpCourier(web).status(ONION_URL.replace("https", "http"))
    assert proxy.requests == []


def test_missing_proxy_is_not_bypassed(
    certificate_files: CertificateFiles, resolved_names: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with new_relay_client(certificate_files.cert, Proxy("127.0.0.1", port)) as web:
        courier = HttpCourier(web, patience_s=60)
        with pytest.raises(ProxyUnreachable, match=f"127.0.0.1:{port}"):
            courier.status(RELAY_URL)
    assert set(resolved_names) == {"127.0.0.1"}


def test_relay_that_the_proxy_cannot_reach_counts_as_unreachable(
    certificate_files: CertificateFiles, proxy: SocksProxy
) -> None:
    proxy.target_port = 0
    with (
        new_relay_client(certificate_files.cert, proxy_setting(proxy)) as web,
        pytest.raises(RelayUnreachable, match=r"relay\."),
    ):
        HttpCourier(web).status(RELAY_URL)


def test_relay_behind_a_non_socks_proxy_counts_as_unreachable(
    certificate_files: CertificateFiles,
) -> None:
    real, _ = relay_with_courier("", SettableClock(), SeededRandomSource("relay"))
    with serve_app(relay_app(real)) as url:
        there = Proxy("127.0.0.1", int(url.rpartition(":")[2]))
        with (
            new_relay_client(certificate_files.cert, there) as web,
            pytest.raises(RelayUnreachable, match="relay"),
        ):
            HttpCourier(web).status(RELAY_URL)


def test_onion_name_is_never_looked_up_without_proxy(resolved_names: list[str]) -> None:
    with new_relay_client() as web, pytest.raises(OnionNeedsProxy, match="ENTRENOUS_PROXY"):
        HttpCourier(web, patience_s=60).status(ONION_URL)
    assert resolved_names == []


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("socks5h://127.0.0.1:9050", Proxy("127.0.0.1", 9050)),
        ("socks5h://[::1]:9050", Proxy("::1", 9050)),
        ("", None),
    ],
)
def test_proxy_setting_is_parsed(setting: str, proxy: Proxy | None) -> None:
    assert read_settings({"ENTRENOUS_PROXY": setting}).proxy == proxy


@pytest.mark.parametrize(
    "setting",
    [
        "socks5://127.0.0.1:9050",
        "socks4a://127.0.0.1:9050",
        "http://127.0.0.1:8118",
        "127.0.0.1:9050",
        "socks5h://127.0.0.1",
        "socks5h://:9050",
        "socks5h://me:secret@127.0.0.1:9050",
        "socks5h://127.0.0.1:9050/x",
        "socks5h://127.0.0.1:99999",
        "socks5h://[::1:9050",
    ],
)
def test_invalid_proxy_setting_is_refused(setting: str) -> None:
    with pytest.raises(BadSetting, match="socks5h://HOST:PORT"):
        read_settings({"ENTRENOUS_PROXY": setting})
