"""Settings of a gate: reading ``gate.toml``, the default file, and errors in settings."""

import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from entrenous.stop.gate_settings import (
    GateHttpSettings,
    GateSettings,
    SettingsForm,
    default_gate_toml,
    parse_gate_settings,
    read_gate_settings,
)
from entrenous.stop.nouns import (
    BadGateSettings,
    GateLimits,
    UnknownGateSetting,
    UnreadableGateSettings,
)
from entrenous.stop.store.open_gate import open_platform

# For these settings, the default file shows an example instead of the default value.
SETTINGS_WITHOUT_DEFAULT = (
    "database",
    "tls_cert",
    "tls_key",
    "appeal_url",
    "slow_look_processes",
    "held_key",
)


def test_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_gate_settings(tmp_path) == GateSettings()


def test_settings_in_the_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(
        'database = "postgresql://gate@/gate"\nclaims_per_hour = 5\nlook_back_days = 0\n'
        "slow_looks = 7\nindex_shards = 4\nsecond_look_hashes = 9\nfetch_minutes = 90\n"
        'confirmers = 2\npage = ["tell", "--to", "ana b"]\npage_after_hours = 3\n'
        'slow_look_processes = 3\nfree_mb_min = 5000\nheld_key = "/run/keys/gate"\n'
    )
    limits = GateLimits(
        claims_per_hour=5,
        look_back_days=0,
        slow_looks=7,
        second_look_hashes=9,
        confirmers=2,
        page_after_hours=3,
        free_mb_min=5000,
    )
    page = ("tell", "--to", "ana b")
    assert read_gate_settings(tmp_path) == GateSettings(
        *("postgresql://gate@/gate", limits, 4, 90),
        page=page,
        slow_look_processes=3,
        held_key=Path("/run/keys/gate"),
    )


def test_http_settings_in_the_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(
        'tls_cert = "cert.pem"\ntls_key = "/etc/key.pem"\nappeal_url = "https://a.example/b?c=d"\n'
        'trusted_proxies = ["127.0.0.1", "2001:db8::/64"]\n'
        "uploads_per_account = 0\nrefused_per_account = 7\n"
    )
    assert read_gate_settings(tmp_path).http == GateHttpSettings(
        tls_cert=tmp_path / "cert.pem",
        tls_key=Path("/etc/key.pem"),
        trusted_proxies=(ip_network("127.0.0.1"), ip_network("2001:db8::/64")),
        appeal_url="https://a.example/b?c=d",
        uploads_per_account=0,
        refused_per_account=7,
    )


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://localhost/", "https://a.example"]
)
def test_valid_appeal_urls_are_accepted(url: str) -> None:
    assert parse_gate_settings(f'appeal_url = "{url}"'.encode()).http.appeal_url == url


def test_default_settings_file_shows_every_setting_and_sets_none() -> None:
    assert parse_gate_settings(default_gate_toml()) == GateSettings()
    lines = [line.removeprefix("# ") for line in default_gate_toml().decode().splitlines()]
    named = [line for line in lines if re.match(r"[a-z_]+ = ", line)]
    names = [line.split(" ")[0] for line in named]
    assert sorted(names) == sorted(field.name for field in msgspec.structs.fields(SettingsForm))
    assert sorted(names) == sorted(_setting_names_in_error())
    assert parse_gate_settings("\n".join(named).encode()).http.appeal_url
    usual = "\n".join(line for line in named if not line.startswith(SETTINGS_WITHOUT_DEFAULT))
    assert parse_gate_settings(usual.encode()) == GateSettings()


def test_default_settings_file_is_written_only_into_a_new_folder(tmp_path: Path) -> None:
    with open_platform(tmp_path / "gate"):
        pass
    path = tmp_path / "gate" / "gate.toml"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (default_gate_toml(), 0o600)
    path.unlink()
    with open_platform(tmp_path / "gate"):  # the folder exists already
        assert not path.exists()


def _setting_names_in_error() -> list[str]:
    with pytest.raises(BadGateSettings) as caught:
        parse_gate_settings(b"x = 1")
    text = " ".join(str(caught.value).split())
    return text.partition("The settings are: ")[2].replace(" and ", ", ").rstrip(".").split(", ")


@pytest.mark.parametrize(
    "toml",
    [
        b"database = postgresql://u:hunter2@host/gate",
        b"hunter2 = 1",
        b'claims_per_hour = "hunter2"',
        b"claims_per_hour = 0",
        b"look_back_days = 366",
        b"slow_looks = -1",
        b"second_look_hashes = 0",
        b"index_shards = 0",
        b"index_shards = 65",
        b"fetch_minutes = -1",
        b"fetch_minutes = 0.01",
        b"fetch_minutes = 10081",
        b"fetch_minutes = nan",
        b'tls_cert = "hunter2.pem"',
        b'trusted_proxies = ["hunter2"]',
        b'trusted_proxies = ["192.0.2.1/24"]',
        b'trusted_proxies = ["0.0.0.0/0"]',
        b'trusted_proxies = ["::/0"]',
        b'trusted_proxies = "127.0.0.1"',
        b'appeal_url = "http://hunter2.example/"',
        b'appeal_url = "hunter2"',
        b'appeal_url = "https://u:hunter2@a.example/"',
        b'appeal_url = "https://a.example:hunter2/"',
        b'appeal_url = "https://a.example/hunter2 b"',
        b'appeal_url = "https://a.example/hunter2\\n"',
        b'appeal_url = "https://a.example/' + b"x" * 500 + b'"',
        b"uploads_per_account = -1",
        b"refused_per_account = -1",
        b"confirmers = 0",
        b"confirmers = 3",
        b'page = "hunter2"',
        b'page = ["hunter2", ""]',
        b'page = ["hunter2\\u0000"]',
        b"page_after_hours = 0",
        b"slow_look_processes = 0",
        b"slow_look_processes = 65",
        b"free_mb_min = -1",
        b"slow_look_processes = 1.5",
        b'held_key = "hunter2"',
        b"\xff",
    ],
)
def test_invalid_settings_are_refused_without_repeating_values(toml: bytes) -> None:
    with pytest.raises(BadGateSettings) as caught:
        parse_gate_settings(toml)
    assert "gate.toml" in str(caught.value)
    assert "hunter2" not in str(caught.value).replace("hunter2 is not a gate setting", "")


@pytest.mark.parametrize(
    ("toml", "error_class", "expected_text"),
    [
        (b"confirmer = 1", UnknownGateSetting, "In gate.toml, confirmer is not a gate setting."),
        (
            b'trusted_proxies = "127.0.0.1"',
            BadGateSettings,
            "trusted_proxies should be a list of addresses or networks, such as",
        ),
        (
            b'confirmers = "2"',
            BadGateSettings,
            "in gate.toml: confirmers should be a whole number",
        ),
        (
            b"confirmers = 3",
            BadGateSettings,
            "in gate.toml: confirmers should be 1 or 2.",
        ),
        (b"slow_looks = 1\nconfirmers =", UnreadableGateSettings, "(at end of document)"),
        (b"slow_looks = 1\nconfirmers = two\n", UnreadableGateSettings, "(at line 2, column 14)"),
        (b"x = " + b"[" * 5000, UnreadableGateSettings, "nested too deeply"),
    ],
)
def test_errors_name_the_setting_and_valid_values_or_the_place(
    toml: bytes, error_class: type, expected_text: str
) -> None:
    with pytest.raises(BadGateSettings) as caught:
        parse_gate_settings(toml)
    assert type(caught.value) is error_class
    assert expected_text in " ".join(str(caught.value).split())


def test_folder_called_gate_toml_is_reported(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").mkdir()
    with pytest.raises(UnreadableGateSettings, match="it is a folder"):
        read_gate_settings(tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    "command",
    [
        ("run", "--listen", "127.0.0.1:0"),
        pytest.param(("status",), marks=pytest.mark.nightly),
        pytest.param(("index", "status"), marks=pytest.mark.nightly),
    ],
)
def test_unreadable_settings_file_is_reported(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("confirmers = 2")
    path.chmod(0)
    # Without setpriv, root could read the file.
    setpriv = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    arguments = [
        *setpriv,
        sys.executable,
        "-m",
        "entrenous",
        "gate",
        *command,
        "--data",
        str(tmp_path),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert f"{path} cannot be read: this account is not allowed to read it" in " ".join(
        done.stderr.split()
    )
