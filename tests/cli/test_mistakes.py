"""Tests of commands with a file in place of a folder, an invalid URL or an unusable host."""

from pathlib import Path

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

PASSPHRASE = "four or five unrelated words"


@pytest.fixture
def file_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the environment for commands, and return the path of a file."""
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    path = tmp_path / "a-file"
    path.write_text("mine")
    return path


def run_command(*arguments: str) -> int:
    return run(list(arguments), {"relay": _refuse_to_serve, "gate": _refuse_to_serve})


def _refuse_to_serve(*_: object) -> None:
    raise AssertionError("nothing may be served")


@pytest.mark.parametrize("subfolder", ["", "deeper"])
def test_file_in_place_of_a_folder_is_reported(
    file_in_the_way: Path,
    subfolder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(file_in_the_way / subfolder)
    hash_list = tmp_path / "list.csv"
    hash_list.write_text("00" * 32)
    listen_option = ("--listen", "127.0.0.1:0")
    monkeypatch.setenv("ENTRENOUS_HOME", folder)
    for arguments in (
        ("setup", "--name", "ana", "--offline"),
        ("relay", "run", "--data", folder, *listen_option),
        ("gate", "run", "--data", folder, *listen_option),
        ("gate", "bank", "import", str(hash_list), "--bank", "lists", "--data", folder),
    ):
        assert (arguments, run_command(*arguments)) == (arguments, 3)
        assert f"{folder} cannot be used:" in capsys.readouterr().err
    assert file_in_the_way.read_text() == "mine"
    assert run_command("sent") == 4


@pytest.mark.parametrize("url", ["https://x:abc/", "https://a..b", "gate.example", "https://"])
def test_invalid_gate_address_is_refused(
    file_in_the_way: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("setup", "--name", "ana", "--offline") == 0
    assert run_command("protect", str(file_in_the_way), "--gate", url) == 3
    assert f"{url} is not the address of a platform" in capsys.readouterr().err


@pytest.mark.enable_socket
@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".invalid", "999.1.1.1"])
def test_unusable_listen_host_is_refused(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(tmp_path / "data"), "--listen", f"{host}:0")
    assert run(["relay", "run", *data], {"relay": lambda _: None}) == 6
    assert "cannot listen at" in capsys.readouterr().err
