"""A wrong setting is reported when the server starts, not at the first upload."""

from pathlib import Path
from typing import Any

import pytest

from entrenous.base.environment import BadSetting
from entrenous.stop.client.gate_answer import read_client_settings

GATE = {"gate": "https://gate.example"}
HAS_TOKEN = {"ENTRENOUS_GATE_TOKEN": " operator-token\n"}


def test_token_is_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    file = {"token_file": str(tmp_path / "token")}
    assert read_client_settings(GATE | file, HAS_TOKEN).token.reveal() == b"from-file"
    assert read_client_settings(GATE, HAS_TOKEN).token.reveal() == b"operator-token"


@pytest.mark.parametrize(
    ("given", "name"),
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
        (GATE | {"budget_s": 0}, "budget_s"),
        (GATE | {"budget_s": float("nan")}, "budget_s"),
        (GATE | {"budget_s": True}, "budget_s"),
        (GATE | {"budget_s": "5"}, "budget_s"),
        (GATE | {"upload_bytes_max": -1}, "upload_bytes_max"),
        (GATE | {"other_media": "skip"}, "other_media"),
        (GATE | {"other_files": None}, "other_files"),
        (GATE | {"shadow": "no"}, "shadow"),
        (GATE | {"appeal_url": 7}, "appeal_url"),
        (GATE | {"token": "here"}, "token"),
        (GATE | {"tokenfile": "here"}, "tokenfile"),
        (GATE | {"token_file": "/nowhere/at/all"}, "token_file"),
        (GATE | {"token_file": "/dev/null"}, "token"),
    ],
)
def test_invalid_settings_are_named(given: dict[str, Any], name: str) -> None:
    with pytest.raises(BadSetting, match=rf"setting {name} ") as caught:
        read_client_settings(given, HAS_TOKEN)
    assert "word@" not in str(caught.value)


def test_missing_token_is_refused() -> None:
    with pytest.raises(BadSetting, match="ENTRENOUS_GATE_TOKEN"):
        read_client_settings(GATE, {})


@pytest.mark.parametrize("token", ["", "two words", "line\r\nbreak", "ü", "x" * 201])
def test_token_that_is_no_header_value_is_refused(token: str) -> None:
    with pytest.raises(BadSetting, match="setting token "):
        read_client_settings(GATE, {"ENTRENOUS_GATE_TOKEN": token})


@pytest.mark.parametrize("given", [None, [], "https://gate.example"])
def test_settings_must_be_a_mapping(given: Any) -> None:
    with pytest.raises(BadSetting):
        read_client_settings(given, HAS_TOKEN)
