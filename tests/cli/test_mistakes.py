"""Common mistakes with folders and addresses get an error with a reason and a next step, never exit
status 70. Those of the relay and the gate are here too, since the same command line serves them.
"""

from pathlib import Path

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

WORDS = "four or five unrelated words"


@pytest.fixture
def in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", WORDS)
    place = tmp_path / "a-file"
    place.write_text("mine")
    return place


def command(*arguments: str) -> int:
    return run(list(arguments), {"relay": _never, "gate": _never})


def _never(*_: object) -> None:
    raise AssertionError("nothing may be served")


@pytest.mark.parametrize("below", ["", "deeper"])
def test_file_in_place_of_a_folder_is_reported(
    in_the_way: Path,
    below: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(in_the_way / below)
    listed = tmp_path / "list.csv"
    listed.write_text("00" * 32)
    free = ("--listen", "127.0.0.1:0")
    monkeypatch.setenv("ENTRENOUS_HOME", folder)
    for arguments in (
        ("setup", "--name", "ana", "--offline"),
        ("relay", "run", "--data", folder, *free),
        ("gate", "run", "--data", folder, *free),
        ("gate", "bank", "import", str(listed), "--bank", "lists", "--data", folder),
    ):
        assert (arguments, command(*arguments)) == (arguments, 3)
        assert f"{folder} cannot be used as a folder" in capsys.readouterr().err
    assert in_the_way.read_text() == "mine"
    assert command("sent") == 4


@pytest.mark.parametrize("url", ["https://x:abc/", "https://a..b", "gate.example", "https://"])
def test_invalid_gate_address_is_refused(
    in_the_way: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("setup", "--name", "ana", "--offline") == 0
    assert command("protect", str(in_the_way), "--gate", url) == 3
    assert f"{url} is not the address of a platform" in capsys.readouterr().err


@pytest.mark.enable_socket
@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".invalid", "999.1.1.1"])
def test_unusable_listen_host_is_refused(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(tmp_path / "data"), "--listen", f"{host}:0")
    assert run(["relay", "run", *data], {"relay": lambda _: None}) == 6
    assert "cannot listen at" in capsys.readouterr().err
