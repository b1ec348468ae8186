"""Tests of offline windows, recovery sheets, passphrase changes and reports of failed tries."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from entrenous.base.environment import Settings
from entrenous.base.identifiers import MailboxId
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.cli import run
from entrenous.crypto.vault_key import Argon2Cost
from entrenous.device.identities import NEXT_CLOSE_TOKEN_RECORD, own_device
from entrenous.device.store.vault_folder import KeyDerivationTerms, RelayShare, UnlockedVault
from entrenous.device.vault_tables import OWN_RECORDS
from entrenous.send.devices.device_wording import describe_passphrase_change
from entrenous.send.formats.identity_formats import read_sheet
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_USAGE_ERROR, EXIT_YES
from entrenous.wire.relay_nouns import RelayLock
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.vaults import make_vaults_open_quickly, open_device

pytestmark = pytest.mark.real

REFUSED, MALFORMED = EXIT_STATUS_BY_FAMILY["refused"], EXIT_STATUS_BY_FAMILY["malformed"]
FIRST_PASSPHRASE, SECOND_PASSPHRASE = "four or five unrelated words", "some other unrelated words"
RELAY_LOCK = RelayLock("https://relay.test", MailboxId(bytes(16)), Secret(b"u" * 32))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set up Ana's device at a relay, with cheap key derivation."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "ana"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", FIRST_PASSPHRASE)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    with (
        disk_relay(tmp_path / "relay", SettableClock()) as relay,
        serve_app(relay_app(relay)) as url,
    ):
        assert run(["setup", "--name", "ana", "--relay", url], {}) == EXIT_YES
        yield tmp_path / "ana"


@pytest.fixture
def run_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command, checks its success, and returns its JSON output."""

    def run_checked(*words: str) -> Any:
        capsys.readouterr()
        assert run([*words, "--json"], {}) == EXIT_YES
        return json.loads(capsys.readouterr().out)

    return run_checked


def test_offline_window_opens_and_closes(home: Path, run_json: Any) -> None:
    opened = run_json("device", "offline", "--hours", "2")
    assert (opened["schema"], opened["until"][-1]) == ("entrenous/offline/1", "Z")
    assert (home / "offline.key").exists()
    assert run_json("device", "offline", "--off") == {
        "schema": "entrenous/offline/1",
        "until": None,
    }
    assert not (home / "offline.key").exists()


@pytest.mark.parametrize("words", ["", "--hours 0", "--hours 169", "--hours 1 --off"])
def test_invalid_offline_window_is_refused(home: Path, words: str) -> None:
    assert run(["device", "offline", *words.split()], {}) == EXIT_USAGE_ERROR
    assert not (home / "offline.key").exists()


def test_sheet_is_written_and_unlocks_the_device(
    home: Path, run_json: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "sheet.txt", tmp_path / "second.txt"
    assert run_json("device", "recovery", "--out", str(first))["file"] == str(first)
    sheet = read_sheet(first.read_text())
    assert first.stat().st_mode & 0o077 == 0
    assert run(["device", "recovery", "--out", str(second)], {}) == REFUSED
    assert "--recovery" in capsys.readouterr().err
    assert not second.exists()
    run_json("device", "recovery", "--out", str(second), "--recovery", str(first))
    assert read_sheet(second.read_text()) == sheet
    assert run_json("device", "unlock", "--recovery", str(second))["tries"] == 10
    assert home.exists()


def test_sheet_contains_the_close_token_that_was_still_queued(
    home: Path, run_json: Any, tmp_path: Path
) -> None:
    """A new close token is queued, as if the relay had not answered an earlier command."""
    new_close_token, sheet = Secret(b"f" * TOKEN_BYTES), tmp_path / "sheet.txt"
    with open_device(
        Settings(home, 0.0, pause_s=0), lambda: Secret(FIRST_PASSPHRASE.encode())
    ) as device:
        device.vault.put(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD, new_close_token.reveal())
    run_json("device", "recovery", "--out", str(sheet))
    assert read_sheet(sheet.read_text()).close == new_close_token
    run_json("device", "list")
    with open_device(
        Settings(home, 0.0, pause_s=0), lambda: Secret(FIRST_PASSPHRASE.encode())
    ) as device:
        assert own_device(device).home.close == new_close_token


def test_invalid_sheet_is_reported(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ana")
    wrong = ["device", "unlock", "--recovery", str(tmp_path / "letter.txt")]
    assert run(wrong, {}) == MALFORMED
    assert "not the text of a recovery sheet" in capsys.readouterr().err
    assert home.exists()


def test_passphrase_can_be_changed(
    home: Path, run_json: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.write(write, SECOND_PASSPHRASE.encode() + b"\n")
    os.close(write)
    changed = run_json("passphrase", "change", "--new-passphrase-fd", str(read))
    assert (changed["copies_shut"], changed["new_sheet_needed"]) == (True, True)
    os.close(read)
    assert run(["sent"], {}) == REFUSED
    assert "does not unlock" in capsys.readouterr().err
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", SECOND_PASSPHRASE)
    assert run(["sent"], {}) == EXIT_YES
    assert home.exists()


def test_failed_tries_are_reported_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", SECOND_PASSPHRASE)
    for _ in range(2):
        assert run(["sent"], {}) == REFUSED
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", FIRST_PASSPHRASE)
    capsys.readouterr()
    assert run(["sent", "--json"], {}) == EXIT_YES
    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert captured.err.startswith("2 tries at this device's passphrase failed")
    assert "entrenous device revoke" in captured.err
    assert "entrenous passphrase change" in captured.err
    assert run(["sent", "--json"], {}) == EXIT_YES
    assert capsys.readouterr().err == ""
    assert home.exists()


def test_new_passphrase_is_not_prompted_without_a_terminal(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["passphrase", "change"], {}) == REFUSED
    assert "passphrase" in capsys.readouterr().err
    assert run(["sent"], {}) == EXIT_YES
    assert home.exists()


def test_lock_commands_describe_their_results(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected_outputs = {
        ("device", "offline", "--hours", "1"): "opens without its relay",
        ("device", "offline", "--off"): "only with its relay",
        ("device", "recovery", "--out", str(tmp_path / "sheet")): "no longer on this device",
        ("device", "unlock", "--recovery", str(tmp_path / "sheet")): "ten more tries",
    }
    for words, expected in expected_outputs.items():
        assert run(list(words), {}) == EXIT_YES
        assert expected in capsys.readouterr().out
    assert home.exists()


@pytest.mark.parametrize(
    ("before", "after", "outdated", "expected"),
    [
        (None, None, False, "no relay"),
        (None, RELAY_LOCK, False, "no relay"),
        (RELAY_LOCK, RELAY_LOCK, False, "30 days"),
        (
            RELAY_LOCK,
            RELAY_LOCK.with_new_unlock_token(Secret(b"n" * 32)),
            True,
            "when you next open",
        ),
        (
            RELAY_LOCK,
            RELAY_LOCK.with_new_unlock_token(Secret(b"n" * 32)),
            False,
            "locked for good: no",
        ),
    ],
)
def test_passphrase_change_reports_what_opens_older_copies(
    before: RelayLock | None, after: RelayLock | None, *, outdated: bool, expected: str
) -> None:
    def make_unlocked_vault(lock: RelayLock | None) -> UnlockedVault:
        terms, part = (
            KeyDerivationTerms(bytes(16), Argon2Cost(), lock),
            RelayShare(outdated=outdated),
        )
        return UnlockedVault(Path(), cast("Any", None), terms, Secret(b""), part)

    assert expected in " ".join(
        describe_passphrase_change(make_unlocked_vault(before), make_unlocked_vault(after))
    )
