"""Commands move a device and its lock to another relay. With a recovery sheet, they move a device
away from a relay that is gone for good. The tests use real vaults, and real relays over HTTP.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from entrenous.base.environment import Settings
from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.cli import run
from entrenous.device.identities import next_relay_lock
from entrenous.device.open_device import open_unlocked
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.store.vault_folder import read_vault_head
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.formats.identity_formats import read_sheet, write_sheet
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_YES
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.vaults import make_vaults_open_quickly, open_device

pytestmark = pytest.mark.real

PASSPHRASE = "four or five unrelated words"
REFUSED, UNREACHABLE = EXIT_STATUS_BY_FAMILY["refused"], EXIT_STATUS_BY_FAMILY["unreachable"]
RunCommand = Callable[..., str]


@dataclass
class TwoRelays:
    """Two relays, each of which can be stopped, and Ana's folder."""

    folder: Path
    urls: dict[str, str] = field(default_factory=dict)
    relay_stacks: dict[str, ExitStack] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "ana"

    @property
    def settings(self) -> Settings:
        return Settings(self.home, 0.0, pause_s=0)

    @property
    def sheet_path(self) -> Path:
        return self.folder / "sheet.txt"

    def start(self, name: str) -> str:
        stack = ExitStack()
        relay = stack.enter_context(disk_relay(self.folder / name, SettableClock()))
        self.urls[name] = stack.enter_context(serve_app(relay_app(relay)))
        self.relay_stacks[name] = stack
        return self.urls[name]

    def stop(self, name: str) -> None:
        self.relay_stacks.pop(name).close()

    def lock_relay_url(self) -> str:
        head = read_vault_head(self.home)
        assert head.next is None
        assert head.now.lock is not None
        return head.now.lock.relay_url


def read_passphrase() -> Secret:
    return Secret(PASSPHRASE.encode())


@pytest.fixture
def relays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoRelays]:
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "ana"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    relays = TwoRelays(tmp_path)
    for name in ("old", "new"):
        relays.start(name)
    assert run(["setup", "--name", "ana", "--relay", relays.urls["old"]], {}) == EXIT_YES
    yield relays
    for stack in relays.relay_stacks.values():
        stack.close()


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Return a function that runs a command, checks the exit status, and returns the output."""

    def run_and_check(*command: str, status: int = EXIT_YES) -> str:
        capsys.readouterr()
        assert run(list(command), {}) == status
        output = capsys.readouterr()
        return output.out + output.err

    return run_and_check


def test_device_moves_with_its_lock(relays: TwoRelays, run_command: RunCommand) -> None:
    new = relays.urls["new"]
    answer = json.loads(run_command("device", "move", "--relay", new, "--json"))
    assert (answer["schema"], answer["relay"]) == ("entrenous/moved/1", new)
    assert (answer["before"], answer["letters_waiting"]) == (relays.urls["old"], 0)
    assert relays.lock_relay_url() == new
    with open_device(relays.settings, read_passphrase) as device:
        assert [one.overtaken for one in former_addresses(device)] == [True]
    second_output = run_command("device", "move", "--relay", new)
    assert f"This device is at {new} now." in second_output
    assert "entrenous device recovery" in second_output
    relays.stop("old")
    assert "device 1" in run_command("device", "list")
    run_command("device", "move", "--relay", "relay", status=REFUSED)


def test_move_to_the_current_relay_is_refused(relays: TwoRelays, run_command: RunCommand) -> None:
    assert "already" in run_command("device", "move", "--relay", relays.urls["old"], status=REFUSED)
    assert relays.lock_relay_url() == relays.urls["old"]


def test_next_command_moves_a_lock_that_was_left_at_the_old_relay(
    relays: TwoRelays, run_command: RunCommand
) -> None:
    run_command("device", "offline", "--hours", "2")
    with open_device(relays.settings, read_passphrase) as device:
        move_all_devices(relays.urls["new"], None, device)
        assert next_relay_lock(device) is not None
    assert relays.lock_relay_url() == relays.urls["old"]
    run_command("sent")
    assert relays.lock_relay_url() == relays.urls["new"]
    assert not (relays.home / "offline.key").exists()
    relays.stop("old")
    run_command("sent")


def test_no_tries_are_used_up_while_the_new_relay_is_unreachable(
    relays: TwoRelays, run_command: RunCommand
) -> None:
    with open_device(relays.settings, read_passphrase) as device:
        move_all_devices(relays.urls["new"], None, device)
    relays.stop("new")
    for _ in range(12):
        run_command("sent")
    with open_unlocked(relays.settings, read_passphrase) as (device, unlocked):
        assert next_relay_lock(device) is not None
        assert unlocked.part.tries_left == 9


def test_sheet_moves_a_device_away_from_a_relay_that_is_gone(
    relays: TwoRelays, run_command: RunCommand
) -> None:
    new = relays.urls["new"]
    run_command("device", "recovery", "--out", str(relays.sheet_path))
    relays.stop("old")
    run_command("sent", status=UNREACHABLE)
    run_command("device", "move", "--relay", new, status=UNREACHABLE)
    output = run_command("device", "move", "--relay", new, "--recovery", str(relays.sheet_path))
    assert f"This device is at {new} now." in output
    assert relays.lock_relay_url() == new
    run_command("sent")
    unneeded_sheet = run_command(
        "device", "move", "--relay", new, "--recovery", str(relays.sheet_path)
    )
    assert "is at" in unneeded_sheet  # the new relay answers, so the sheet is not needed
    relays.stop("new")
    refused = run_command(
        "device", "move", "--relay", new, "--recovery", str(relays.sheet_path), status=REFUSED
    )
    assert "written before this device moved" in " ".join(refused.split())


def test_interrupted_move_continues_with_the_sheet(
    relays: TwoRelays, run_command: RunCommand
) -> None:
    """The old relay is stopped for good before the lock has moved."""
    new = relays.urls["new"]
    run_command("device", "recovery", "--out", str(relays.sheet_path))
    with open_device(relays.settings, read_passphrase) as device:
        move_all_devices(new, read_sheet(relays.sheet_path.read_text()), device)
    relays.stop("old")
    run_command("sent", status=UNREACHABLE)
    run_command("device", "move", "--relay", new, "--recovery", str(relays.sheet_path))
    assert relays.lock_relay_url() == new
    run_command("sent")


def test_wrong_sheet_moves_nothing_and_says_why(relays: TwoRelays, run_command: RunCommand) -> None:
    run_command("device", "recovery", "--out", str(relays.sheet_path))
    right = read_sheet(relays.sheet_path.read_text())
    others = {
        "changed after the sheet was written": replace(right, output=Secret(bytes(64))),
        "belongs to another device": replace(right, mailbox=MailboxId(bytes(16))),
    }
    before = relays.sheet_path.read_text()
    relays.stop("old")
    for reason, sheet in others.items():
        relays.sheet_path.write_text(write_sheet(sheet))
        command = (
            "device",
            "move",
            "--relay",
            relays.urls["new"],
            "--recovery",
            str(relays.sheet_path),
        )
        assert reason in " ".join(run_command(*command, status=REFUSED).split())
        assert relays.lock_relay_url() == relays.urls["old"]
    relays.sheet_path.write_text(before)
    run_command(
        "device", "move", "--relay", relays.urls["new"], "--recovery", str(relays.sheet_path)
    )
    assert relays.lock_relay_url() == relays.urls["new"]
