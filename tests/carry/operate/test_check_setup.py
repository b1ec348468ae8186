"""Tests of ``relay check``: named faults, sound and running relays, and unchanged files."""

import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.carry.check_setup import SetupFinding, check_relay
from entrenous.carry.http.metrics import RelayMetrics, metrics_app
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay_settings import RelayLimits, RelaySettings
from entrenous.serving.host_checks import free_bytes
from tests.carry.operate.test_backup_files import create_mailbox_with_message
from tests.carry.relays import SampleMessage, disk_relay, memory_relay, serve_app
from tests.deterministic import SettableClock
from tests.serving.certificates import CertificateFiles, write_certificate_files

pytestmark = pytest.mark.real

IntroduceFault = Callable[[RelaySettings, Path], RelaySettings]


@pytest.fixture
def settings(tmp_path: Path) -> RelaySettings:
    """Return the settings of a sound relay that has a certificate and is not running."""
    data = tmp_path / "relay"
    data.mkdir(mode=0o700)
    with disk_relay(data, SettableClock()) as relay:
        asyncio.run(create_mailbox_with_message(relay, SampleMessage()))
    certificate = write_certificate_files(tmp_path)
    return RelaySettings(data, "127.0.0.1:0", certificate.cert, certificate.key)


def findings_by_part(settings: RelaySettings) -> dict[str, SetupFinding]:
    return {finding.part: finding for finding in check_relay(settings)}


def test_check_finds_no_fault_in_a_sound_relay(settings: RelaySettings) -> None:
    findings = check_relay(settings)
    assert [one.part for one in findings] == [
        *("folder", "disk", "database", "clock", "tls", "address")
    ]
    assert [one for one in findings if not one.ok] == []


def test_check_finds_no_fault_before_the_first_start(tmp_path: Path) -> None:
    settings = RelaySettings(tmp_path / "new", "127.0.0.1:0")
    assert [one for one in check_relay(settings) if not one.ok] == []
    assert not (tmp_path / "new").exists()


def let_others_read_the_folder(settings: RelaySettings, _: Path) -> RelaySettings:
    settings.data.chmod(0o755)
    return settings


def replace_folder_with_a_file(settings: RelaySettings, folder: Path) -> RelaySettings:
    (folder / "file").write_text("")
    return replace(settings, data=folder / "file")


def require_more_free_space(settings: RelaySettings, _: Path) -> RelaySettings:
    return replace(settings, limits=RelayLimits(free_bytes_min=2**60))


def enlarge_database(settings: RelaySettings, _: Path) -> RelaySettings:
    free = free_bytes(settings.data)
    with (settings.data / "mail.db").open("r+b") as mail:
        mail.truncate(free * 6 // 10)  # the added bytes take no disk space (a sparse file)
    return settings


def damage_database(settings: RelaySettings, _: Path) -> RelaySettings:
    mail = settings.data / "mail.db"
    data = bytearray(mail.read_bytes())
    data[4096:8192] = os.urandom(4096)
    mail.write_bytes(data)
    return settings


def replace_database_with_text(settings: RelaySettings, _: Path) -> RelaySettings:
    (settings.data / "mail.db").write_bytes(b"letters" * 1000)
    return settings


def set_newer_schema_version(settings: RelaySettings, _: Path) -> RelaySettings:
    with contextlib.closing(sqlite3.connect(settings.data / "mail.db")) as rows:
        rows.execute("PRAGMA user_version=99")
    return settings


def set_earlier_schema_version(settings: RelaySettings, _: Path) -> RelaySettings:
    with contextlib.closing(sqlite3.connect(settings.data / "mail.db")) as rows:
        rows.execute("PRAGMA user_version=1")
    return settings


def date_database_in_the_future(settings: RelaySettings, _: Path) -> RelaySettings:
    os.utime(settings.data / "mail.db", (4e9, 4e9))
    return settings


def name_a_missing_certificate(settings: RelaySettings, folder: Path) -> RelaySettings:
    return replace(settings, tls_cert=folder / "none.pem")


def use_key_of_another_certificate(settings: RelaySettings, folder: Path) -> RelaySettings:
    return replace(settings, tls_key=write_certificate_files(folder / "other").key)


def use_expired_certificate(settings: RelaySettings, folder: Path) -> RelaySettings:
    return _with_certificate(
        settings, write_certificate_files(folder / "other", starts_in_days=-9, days_valid=8)
    )


def use_future_certificate(settings: RelaySettings, folder: Path) -> RelaySettings:
    return _with_certificate(settings, write_certificate_files(folder / "other", starts_in_days=1))


def use_expiring_certificate(settings: RelaySettings, folder: Path) -> RelaySettings:
    return _with_certificate(settings, write_certificate_files(folder / "other", days_valid=10))


def _with_certificate(settings: RelaySettings, certificate: CertificateFiles) -> RelaySettings:
    return replace(settings, tls_cert=certificate.cert, tls_key=certificate.key)


def let_all_read_the_key(settings: RelaySettings, _: Path) -> RelaySettings:
    assert settings.tls_key
    settings.tls_key.chmod(0o644)
    return settings


def listen_everywhere_without_tls(settings: RelaySettings, _: Path) -> RelaySettings:
    return replace(settings, tls_cert=None, tls_key=None, listen="0.0.0.0:0")


def listen_at_another_hosts_address(settings: RelaySettings, _: Path) -> RelaySettings:
    return replace(settings, listen="192.0.2.1:7801")


def serve_metrics_at_the_relays_address(settings: RelaySettings, _: Path) -> RelaySettings:
    return replace(settings, listen="127.0.0.1:7801", metrics_listen="0.0.0.0:7801")


def serve_metrics_at_another_hosts_address(settings: RelaySettings, _: Path) -> RelaySettings:
    return replace(settings, metrics_listen="192.0.2.1:7803")


@pytest.mark.parametrize(
    ("part", "introduce_fault", "expected_words"),
    [
        ("folder", let_others_read_the_folder, "chmod 700"),
        ("folder", replace_folder_with_a_file, "nothing can be kept"),
        ("disk", require_more_free_space, "no blob is taken"),
        ("disk", enlarge_database, "a rewrite of the database needs"),
        ("database", damage_database, "it is damaged"),
        ("database", replace_database_with_text, "it cannot be read"),
        ("database", set_newer_schema_version, "a newer version of Entrenous"),
        (
            "database",
            set_earlier_schema_version,
            "an earlier version of Entrenous. Restore a backup, or run the version",
        ),
        ("clock", date_database_in_the_future, "set the clock"),
        ("tls", name_a_missing_certificate, "is missing"),
        ("tls", use_key_of_another_certificate, "do not belong together"),
        ("tls", use_expired_certificate, "the certificate holds from"),
        ("tls", use_future_certificate, "the certificate holds from"),
        ("tls", use_expiring_certificate, "renew it"),
        ("tls", let_all_read_the_key, "anybody can read"),
        ("tls", listen_everywhere_without_tls, "nobody speaks TLS"),
        ("address", listen_at_another_hosts_address, "none of this machine's"),
        ("metrics", serve_metrics_at_the_relays_address, "is where the relay is"),
        ("metrics", serve_metrics_at_another_hosts_address, "change metrics_listen"),
    ],
)
def test_each_fault_is_named(
    settings: RelaySettings,
    tmp_path: Path,
    part: str,
    introduce_fault: IntroduceFault,
    expected_words: str,
) -> None:
    finding = findings_by_part(introduce_fault(settings, tmp_path))[part]
    assert not finding.ok
    assert expected_words in finding.words


def test_disk_needs_no_space_for_blobs_in_a_bucket(settings: RelaySettings, tmp_path: Path) -> None:
    crowded = require_more_free_space(settings, tmp_path)
    assert findings_by_part(replace(crowded, blobs="s3://blobs/relay"))["disk"].ok


def test_plain_http_is_allowed_behind_a_proxy(settings: RelaySettings, tmp_path: Path) -> None:
    plain = replace(listen_everywhere_without_tls(settings, tmp_path), behind_proxy=True)
    assert findings_by_part(plain)["tls"].ok


def test_check_recognizes_a_running_relay(settings: RelaySettings) -> None:
    with serve_app(relay_app(memory_relay())) as url:
        running_settings = replace(
            settings, tls_cert=None, tls_key=None, listen=url.removeprefix("http://")
        )
        finding = findings_by_part(running_settings)["address"]
    assert finding.ok
    assert "a relay answers" in finding.words


@pytest.fixture
def taken_address() -> Iterator[str]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_check_reports_an_address_taken_by_another_program(
    settings: RelaySettings, taken_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.serving.host_checks._HTTP_TIMEOUT_S", 0.1)
    findings = findings_by_part(
        replace(settings, listen=taken_address, metrics_listen=taken_address)
    )
    assert (findings["address"].ok, findings["metrics"].ok) == (False, False)
    assert "taken by something else" in findings["address"].words
    findings = findings_by_part(replace(settings, metrics_listen=taken_address))
    assert (findings["address"].ok, findings["metrics"].ok) == (True, False)
    assert "taken by something else: change metrics_listen" in findings["metrics"].words


def test_check_recognizes_served_metrics(settings: RelaySettings) -> None:
    relay = memory_relay()
    with serve_app(metrics_app(RelayMetrics(), relay)) as url:
        running_settings = replace(settings, metrics_listen=url.removeprefix("http://"))
        finding = findings_by_part(running_settings)["metrics"]
    assert (finding.ok, "metrics are served" in finding.words) == (True, True)


def run_unprivileged(*command: str) -> tuple[int, str]:
    """Run a relay command without root's privileges; return its exit status and output."""
    give_up = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    unprivileged_command = [*give_up, sys.executable, "-m", "entrenous", "relay", *command]
    process = subprocess.run(unprivileged_command, capture_output=True, text=True, check=False)
    return process.returncode, process.stdout + process.stderr


def test_check_reports_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o555)
    status, output = run_unprivileged(
        "check", "--data", str(above / "new"), "--listen", "127.0.0.1:0"
    )
    assert status == 1
    assert f"no  folder: {above}/new is not there and cannot be made" in output
    above.chmod(0)
    status, output = run_unprivileged(
        "check", "--data", str(above / "new"), "--listen", "127.0.0.1:0"
    )
    assert status == 1
    assert "no  folder" in output


def test_check_reports_a_folder_that_its_account_may_not_read(settings: RelaySettings) -> None:
    settings.data.chmod(0)
    settings_file = settings.data.parent / "relay.toml"
    settings_file.write_text(f'data = "{settings.data}"\nfree_mb_min = 0\n')
    status, output = run_unprivileged(
        "check", "--settings", str(settings_file), "--listen", "127.0.0.1:0"
    )
    assert status == 1
    assert "no  folder: nothing can be kept" in output
    assert "no  database: this account may not read" in output


@pytest.mark.skipif(
    int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81,
    reason="everybody may use every port here",
)
def test_check_reports_a_privileged_port(tmp_path: Path) -> None:
    _, output = run_unprivileged(
        "check", "--data", str(tmp_path / "new"), "--listen", "127.0.0.1:81"
    )
    assert "no  address: 127.0.0.1:81 is not for this account" in output


def test_check_changes_no_file_of_the_relay(settings: RelaySettings) -> None:
    before = {path: path.read_bytes() for path in settings.data.rglob("*") if path.is_file()}
    check_relay(settings)
    after = {path: path.read_bytes() for path in settings.data.rglob("*") if path.is_file()}
    assert after == before
