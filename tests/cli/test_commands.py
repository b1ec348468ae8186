"""Tests of commands: exit statuses, help, set-up, JSON, passphrases, settings and errors."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import entrenous.send.commands.setup as setup_command
from entrenous.base.errors import (
    EntrenousError,
    Malformed,
    NotFound,
    Refused,
    Unproven,
    Unreachable,
)
from entrenous.base.secret import Secret
from entrenous.cli import COMMANDS, run
from entrenous.device.commands import ask_passphrase
from entrenous.device.lock_errors import NoPassphrase
from entrenous.terminal.session import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_NO,
    EXIT_STATUS_BY_FAMILY,
    EXIT_USAGE_ERROR,
    EXIT_YES,
    exit_status_of,
)
from tests.village.world import photo as small_photo

pytestmark = pytest.mark.slow

PASSPHRASE = "four or five unrelated words"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the environment for commands, and return the path for the device's folder."""
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    monkeypatch.delenv("ENTRENOUS_DEBUG", raising=False)
    return tmp_path / "home"


def run_command(*arguments: str) -> int:
    return run(list(arguments), {})


@pytest.fixture
def device(home: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Create a device without a relay; return its folder."""
    assert run_command("setup", "--name", "ana", "--offline") == EXIT_YES
    capsys.readouterr()
    return home


@pytest.fixture
def passphrase_pipe() -> Iterator[Callable[[str], str]]:
    """Yield a function that writes a passphrase to a pipe, and returns the reading end's number."""
    descriptors: list[int] = []

    def write_to_pipe(passphrase: str) -> str:
        reading, writing = os.pipe()
        os.write(writing, passphrase.encode())
        os.close(writing)
        descriptors.append(reading)
        return str(reading)

    yield write_to_pipe
    for descriptor in descriptors:
        os.close(descriptor)


def error_types(family: type[EntrenousError]) -> set[type[EntrenousError]]:
    """Return the class ``family`` and all of its direct and indirect subclasses."""
    return {family}.union(*(error_types(one) for one in family.__subclasses__()))


def test_every_error_family_has_its_own_exit_status() -> None:
    families = (Refused, NotFound, Unproven, Unreachable, Malformed)
    assert [exit_status_of(family()) for family in families] == [3, 4, 5, 6, 7]
    other_statuses = {EXIT_YES, EXIT_NO, EXIT_USAGE_ERROR, EXIT_BUG, EXIT_INTERRUPTED}
    assert other_statuses == {0, 1, 2, 70, 130}
    assert not other_statuses & set(EXIT_STATUS_BY_FAMILY.values())
    for family in families:
        for error in error_types(family):
            assert exit_status_of(error()) == EXIT_STATUS_BY_FAMILY[family.family]
    assert exit_status_of(EntrenousError()) == EXIT_BUG


def test_unknown_command_or_invalid_options_are_a_usage_error(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage_errors = [
        ["nonsense"],
        ["setup"],
        ["setup", "--name", "ana"],
        ["setup", "--name", "ana", "--offline", "--relay", "https://relay.test"],
        ["send", "--days", "31"],
        ["trace"],
        ["--passphrase-fd"],
        ["setup", "--passphrase-fd", "x"],
    ]
    for arguments in usage_errors:
        assert (arguments, run_command(*arguments)) == (arguments, EXIT_USAGE_ERROR)
        out, err = capsys.readouterr()
        assert out == ""
        assert err != ""
    assert not home.exists()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(name, "--help") == EXIT_YES
    assert f"entrenous {name}" in capsys.readouterr().out


def test_commands_without_a_device_suggest_setup(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["inbox"], ["sent", "--json"], ["recall", "x"], ["person", "list"]):
        assert run_command(*arguments) == 4
        out, err = capsys.readouterr()
        assert out == ""
        assert "entrenous setup" in err
        assert str(home) in err


@pytest.mark.usefixtures("device")
def test_wrong_passphrase_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "another passphrase")
    assert run_command("sent", "--json") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "another passphrase" not in err


def test_setup_does_not_replace_an_existing_device(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (device / "vault.json").read_bytes()
    assert run_command("setup", "--name", "eve", "--offline") == 3
    assert (device / "vault.json").read_bytes() == before
    assert "ENTRENOUS_HOME" in capsys.readouterr().err


def test_failed_setup_leaves_no_vault(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("setup", "--name", " ana", "--offline") == 3
    for odd in ("ftp://relay.test", "relay.test", "", "https://a@b", "http://relay.example"):
        assert run_command("setup", "--name", "ana", "--relay", odd) == 3
    assert not (home / "vault.json").exists()
    assert "fault" not in capsys.readouterr().err
    assert run_command("setup", "--name", "ana", "--offline") == EXIT_YES


JSON_COMMANDS = [
    (["sent", "--json"], EXIT_YES, "entrenous/sent/1"),
    (["case", "list", "--json"], EXIT_YES, "entrenous/cases/1"),
    (["protect", "--list", "--json"], EXIT_YES, "entrenous/claims/1"),
    (["send", "--resume", "--json"], EXIT_YES, "entrenous/resume/1"),
]


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(("arguments", "status", "schema"), JSON_COMMANDS)
def test_json_output_is_exactly_one_object(
    arguments: list[str],
    status: int,
    schema: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(*arguments) == status
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert json.loads(out)["schema"] == schema
    assert err == ""
    assert PASSPHRASE not in out


def test_setup_answers_in_json_without_a_secret(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("setup", "--name", "ana", "--offline", "--json") == EXIT_YES
    out, err = capsys.readouterr()
    expected = {"schema": "entrenous/setup/1", "name": "ana", "home": str(home)}
    assert (json.loads(out), err) == (expected, "")


@pytest.mark.usefixtures("device")
def test_check_up_exit_status_reflects_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    status = run_command("check-up", "--json")
    out, err = capsys.readouterr()
    advice = json.loads(out)["advice"]
    assert err == ""
    assert status == (EXIT_YES if any(one["next"] for one in advice) else EXIT_NO)
    assert PASSPHRASE not in out


FAILING_COMMANDS = [
    (["recall", "7-lunar-otter", "--json"], 4),
    (["invite", "--json"], 3),
    (["inbox", "--json"], 3),
    (["person", "add", "entrenous:1:AAAA", "--as", "ben", "--json"], 7),
    (["trace", "/no/such/file", "--json"], 4),
    (["trace", "EMPTY", "--json"], 4),
    (["fingerprint", "/", "--json"], 3),
    (["case", "open", "--from-trace", "9", "--adults", "--json"], 4),
    (["unprotect", "nothing", "--json"], 4),
]


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(("arguments", "status"), FAILING_COMMANDS)
def test_errors_are_printed_on_stderr_only_and_without_a_traceback(
    arguments: list[str], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    real_arguments = [str(tmp_path / "empty") if word == "EMPTY" else word for word in arguments]
    assert run_command(*real_arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.rstrip().endswith((".", "URL", "NAME", "sent", "FILE", "--list"))


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("arguments", "text_after_passphrase"),
    [
        (["--passphrase-fd", "FD", "sent", "--json"], ""),
        (["sent", "--passphrase-fd", "FD", "--json"], "\n"),
        (["sent", "--json", "--passphrase-fd", "FD"], "\r\n"),
        (["--passphrase-fd=FD", "sent", "--json"], "\nand a second line"),
        (["sent", "--json", "--passphrase-fd=FD"], "\n"),
    ],
)
def test_passphrase_fd_is_accepted_before_or_after_the_command(
    passphrase_pipe: Callable[[str], str],
    arguments: list[str],
    text_after_passphrase: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "not this one")
    number = passphrase_pipe(PASSPHRASE + text_after_passphrase)
    assert run_command(*(word.replace("FD", number) for word in arguments)) == EXIT_YES
    assert json.loads(capsys.readouterr().out)["messages"] == []


@pytest.mark.usefixtures("device")
def test_passphrase_fd_is_read_from_the_environment(
    passphrase_pipe: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "not this one")
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE_FD", passphrase_pipe(PASSPHRASE))
    assert run_command("sent", "--json") == EXIT_YES
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE_FD", passphrase_pipe("not this one either"))
    assert run_command("sent", "--json", "--passphrase-fd", passphrase_pipe(PASSPHRASE)) == EXIT_YES
    capsys.readouterr()
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE_FD", "three")
    assert run_command("sent", "--json") == 3
    assert "ENTRENOUS_PASSPHRASE_FD" in capsys.readouterr().err


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("descriptor", ["987", "9" * 30])
def test_unusable_passphrase_fd_is_reported(
    descriptor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("sent", "--passphrase-fd", descriptor) == 3
    error = capsys.readouterr().err
    assert "--passphrase-fd" in error
    assert f"file descriptor {descriptor}" in " ".join(error.split())


@pytest.mark.usefixtures("device")
def test_empty_message_name_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command("recall", "") == EXIT_USAGE_ERROR
    assert "say which message" in capsys.readouterr().err


@pytest.mark.usefixtures("device")
def test_missing_passphrase_without_a_terminal_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE")
    with Path(os.devnull).open() as no_terminal:
        monkeypatch.setattr("sys.stdin", no_terminal)
        assert run_command("sent", "--json") == 3
        with pytest.raises(NoPassphrase):
            ask_passphrase(None)
    assert "ENTRENOUS_PASSPHRASE" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_passphrase_is_unicode_normalized(
    passphrase_pipe: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed, decomposed = "Zo\u00eb und die \u00c4pfel", "Zoe\u0308 und die A\u0308pfel"
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", decomposed)
    assert run_command("setup", "--name", "ana", "--offline") == EXIT_YES
    for typed in (composed, decomposed):
        assert ask_passphrase(int(passphrase_pipe(typed))) == Secret(composed.encode())
        assert run_command("sent", "--passphrase-fd", passphrase_pipe(typed)) == EXIT_YES


def test_non_text_bytes_are_a_valid_passphrase() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\xff\xfe not UTF-8\n")
    os.close(writing)
    assert ask_passphrase(reading) == Secret(b"\xff\xfe not UTF-8")
    os.close(reading)


def raise_error_with_secrets(*_: Any) -> None:
    raise RuntimeError(f"{PASSPHRASE} in /home/ana/beach.jpg with key 00ff")


def test_bug_report_contains_no_user_data(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_command, "set_up", raise_error_with_secrets)
    assert run_command("setup", "--name", "ana", "--offline", "--json") == EXIT_BUG
    out, err = capsys.readouterr()
    assert out == ""
    assert "RuntimeError" in err
    for secret in (PASSPHRASE, "beach", "00ff", "/home/ana", "Traceback"):
        assert secret not in err
    assert not (home / "vault.json").exists()


@pytest.mark.usefixtures("home")
def test_debug_setting_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_DEBUG", "1")
    monkeypatch.setattr(setup_command, "set_up", raise_error_with_secrets)
    with pytest.raises(RuntimeError):
        run_command("setup", "--name", "ana", "--offline")


def test_interruption_has_its_own_exit_status(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_command, "set_up", interrupted)
    assert run_command("setup", "--name", "ana", "--offline") == EXIT_INTERRUPTED
    assert capsys.readouterr() == ("", "Stopped. Nothing is half done.\n")
    assert not (home / "vault.json").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ENTRENOUS_PATIENCE", one) for one in ("soon", "", "-1", "inf", "nan")),
        *(("ENTRENOUS_UNDO", one) for one in ("soon", "-1", "3601")),
    ],
)
def test_invalid_environment_setting_is_named(
    home: Path,
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert run_command("setup", "--name", "ana", "--offline") == 3
    assert name in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.usefixtures("device")
def test_folder_that_cannot_be_created_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "beach.jpg"
    photo.write_bytes(small_photo(width_px=160))
    file_in_the_way = tmp_path / "a-file"
    file_in_the_way.write_text("not a folder")
    assert (
        run_command("mark", str(photo), "--to", "ben", "--out", str(file_in_the_way / "copies"))
        == 3
    )
    assert "cannot be written to" in capsys.readouterr().err
