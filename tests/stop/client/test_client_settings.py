"""Reading the settings of the gate client of a hook."""

from pathlib import Path
from typing import Any

import pytest

from entrenous.base.environment import BadSetting
from entrenous.stop.client.gate_answer import read_client_settings

GATE_SETTING = {"gate": "https://gate.example"}
TOKEN_ENVIRONMENT = {"ENTRENOUS_GATE_TOKEN": " operator-token\n"}


def test_token_is_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    file = {"token_file": str(tmp_path / "token")}
    assert (
        read_client_settings(GATE_SETTING | file, TOKEN_ENVIRONMENT).token.reveal() == b"from-file"
    )
    assert read_client_settings(GATE_SETTING, TOKEN_ENVIRONMENT).token.reveal() == b"operator-token"


@pytest.mark.parametrize(
    ("settings", "setting_name"),
    [
        ({}, "gate"),
        ({"gate": 7}, "gate"),
        ({"gate": "gate.example"}, "gate"),
        ({"gate": "http://gate.example"}, "gate"),
        ({"gate": "http://localhost.example"}, "gate"),
        ({"gate": "https://name:word@gate.example"}, "gate"),
        ({"gate": "https://gate.example:port"}, "gate"),
        ({"gate": "https://[gate"}, "gate"),
        ({"gate": "file:///etc/passwd"}, "gate"),
        (GATE_SETTING | {"budget_s": 0}, "budget_s"),
        (GATE_SETTING | {"budget_s": float("nan")}, "budget_s"),
        (GATE_SETTING | {"budget_s": True}, "budget_s"),
        (GATE_SETTING | {"budget_s": "5"}, "budget_s"),
        (GATE_SETTING | {"upload_bytes_max": -1}, "upload_bytes_max"),
        (GATE_SETTING | {"other_media": "skip"}, "other_media"),
        (GATE_SETTING | {"other_files": None}, "other_files"),
        (GATE_SETTING | {"shadow": "no"}, "shadow"),
        (GATE_SETTING | {"appeal_url": 7}, "appeal_url"),
        (GATE_SETTING | {"token": "here"}, "token"),
        (GATE_SETTING | {"tokenfile": "here"}, "tokenfile"),
        (GATE_SETTING | {"token_file": "/nowhere/at/all"}, "token_file"),
        (GATE_SETTING | {"token_file": "/dev/null"}, "token"),
    ],
)
def test_error_names_the_invalid_setting(settings: dict[str, Any], setting_name: str) -> None:
    with pytest.raises(BadSetting, match=rf"setting {setting_name} ") as caught:
        read_client_settings(settings, TOKEN_ENVIRONMENT)
    assert "word@" not in str(caught.value)


def test_missing_token_is_refused() -> None:
    with pytest.raises(BadSetting, match="ENTRENOUS_GATE_TOKEN"):
        read_client_settings(GATE_SETTING, {})


@pytest.mark.parametrize("token", ["", "two words", "line\r\nbreak", "ü", "x" * 201])
def test_token_that_is_not_a_header_value_is_refused(token: str) -> None:
    with pytest.raises(BadSetting, match="setting token "):
        read_client_settings(GATE_SETTING, {"ENTRENOUS_GATE_TOKEN": token})


@pytest.mark.parametrize("settings", [None, [], "https://gate.example"])
def test_settings_must_be_a_mapping(settings: Any) -> None:
    with pytest.raises(BadSetting):
        read_client_settings(settings, TOKEN_ENVIRONMENT)
