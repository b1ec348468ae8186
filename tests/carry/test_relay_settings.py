"""Tests of a relay's settings: the default file, values read from a file, refused values."""

import re
import tomllib
from pathlib import Path

import pytest

from entrenous.base.errors import EntrenousError
from entrenous.carry.commands.settings_file import default_settings
from entrenous.carry.relay_settings import (
    _LIMIT_PARSERS,
    _SETTING_PARSERS,
    MEGABYTE,
    BadRelaySetting,
    NoSettingsFile,
    RelayLimits,
    RelaySettings,
    UnknownRelaySetting,
    UnreadableSettings,
    read_relay_settings,
)
from entrenous.serving.server_process import LogKind

ALL_SETTINGS = {*_SETTING_PARSERS, *_LIMIT_PARSERS}
#: Settings without a default value: the default file shows an example.
SETTINGS_WITHOUT_DEFAULT = {"tls_cert", "tls_key", "metrics_listen", "database", "blobs"}


def write_settings(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text)
    return path


def uncommented_default_file() -> str:
    """Return the default settings file with every setting uncommented."""
    return re.sub(r"(?m)^# (?=[a-z_]+ = )", "", default_settings().decode())


def test_the_default_file_changes_no_setting(tmp_path: Path) -> None:
    settings = read_relay_settings(write_settings(tmp_path, default_settings().decode()))
    default_limits = RelayLimits(free_bytes_min=1000 * MEGABYTE)
    assert settings == RelaySettings(tmp_path / "relay-data", limits=default_limits)


def test_the_default_file_shows_every_setting_and_its_default(tmp_path: Path) -> None:
    settings_shown = tomllib.loads(uncommented_default_file())
    assert set(settings_shown) == ALL_SETTINGS
    all_set = "\n".join(
        line for line in uncommented_default_file().splitlines() if not _has_no_default(line)
    )
    default = read_relay_settings(write_settings(tmp_path, ""))
    assert read_relay_settings(write_settings(tmp_path, all_set)) == default
    read_relay_settings(write_settings(tmp_path, uncommented_default_file()))


def _has_no_default(line: str) -> bool:
    return line.partition(" = ")[0] in SETTINGS_WITHOUT_DEFAULT


def test_settings_are_read_from_the_file(tmp_path: Path) -> None:
    text = """
    data = "/srv/relay"
    listen = "[::]:8443"
    tls_cert = "cert.pem"
    tls_key = "key.pem"
    behind_proxy = true
    metrics_listen = "127.0.0.1:0"
    log = "json"
    keep_days = 7
    mailbox_open = false
    quota_letters = 5
    quota_mailbox_mb = 6
    quota_coming_mb = 7
    free_mb_min = 0
    """
    limits = RelayLimits(7, 5, 6 * MEGABYTE, 7 * MEGABYTE, 0, 2, mailbox_open=False)
    assert read_relay_settings(write_settings(tmp_path, text)) == RelaySettings(
        *(Path("/srv/relay"), "[::]:8443", tmp_path / "cert.pem", tmp_path / "key.pem"),
        behind_proxy=True,
        metrics_listen="127.0.0.1:0",
        log=LogKind.JSON,
        limits=limits,
    )


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ('listen = "nowhere"', "listen"),
        ("listen = 7801", "listen"),
        ('listen = "127.0.0.1:70000"', "listen"),
        ('data = ""', "data"),
        ('listen = "relay:' + "9" * 5000 + '"', "listen"),
        ('log = "loud"', "log"),
        ('database = "mysql://relay"', "database"),
        ("database = 1", "database"),
        ('blobs = "bucket"', "blobs"),
        ('blobs = "s3://"', "blobs"),
        ("log = []", "log"),
        ("log = {}", "log"),
        ('behind_proxy = "yes"', "behind_proxy"),
        ("floor = 1", "floor"),
        ("floor = 3", "floor"),
        ("keep_days = 0", "keep_days"),
        ("keep_days = 31", "keep_days"),
        ("keep_days = true", "keep_days"),
        ("keep_days = 3.5", "keep_days"),
        ("mailbox_open = 1", "mailbox_open"),
        ("quota_letters = 2001", "quota_letters"),
        ("quota_mailbox_mb = 0", "quota_mailbox_mb"),
        ("quota_coming_mb = -1", "quota_coming_mb"),
        ("free_mb_min = -1", "free_mb_min"),
        ('tls_cert = "c.pem"', "tls_key"),
        ('tls_key = "k.pem"', "tls_cert"),
    ],
)
def test_error_names_the_invalid_setting(tmp_path: Path, line: str, setting: str) -> None:
    with pytest.raises(BadRelaySetting) as error:
        read_relay_settings(write_settings(tmp_path, line))
    assert error.value.facts["name"] == setting
    assert setting in str(error.value)


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ('lissen = "127.0.0.1:1"', UnknownRelaySetting),
        ("[relay]\ndata = 'x'", UnknownRelaySetting),
        ("data = ", UnreadableSettings),
        ("data = 1\ndata = 2", UnreadableSettings),
        ("floor = " + "9" * 5000, UnreadableSettings),
        ("data = " + "[" * 5000, UnreadableSettings),
    ],
)
def test_malformed_file_or_unknown_setting_is_refused(
    tmp_path: Path, text: str, error_type: type[EntrenousError]
) -> None:
    with pytest.raises(error_type):
        read_relay_settings(write_settings(tmp_path, text))


def test_missing_or_unreadable_settings_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NoSettingsFile, match="entrenous relay init"):
        read_relay_settings(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(UnreadableSettings, match="not readable text"):
            read_relay_settings(path)


@pytest.mark.parametrize("invalid_limit", [{"keep_days": 31}, {"floor": 1}, {"letters": 0}])
def test_invalid_limits_cannot_be_built(invalid_limit: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a "):
        RelayLimits(**invalid_limit)  # type: ignore[arg-type]
