"""A command moves a device to another relay: its lock follows, and a recovery sheet moves it away
from a relay that is gone for good. Real vaults, and real relays over HTTP.
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
from tests.carry.relays import WoundClock, disk_relay, served
from tests.vaults import make_vaults_open_quickly, open_device

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]

WORDS = "four or five unrelated words"
REFUSED, AWAY = EXIT_STATUS_BY_FAMILY["refused"], EXIT_STATUS_BY_FAMILY["unreachable"]
Said = Callable[..., str]


@dataclass
class Town:
    """Two relays, each of which can be stopped, and Ana's folder."""

    folder: Path
    urls: dict[str, str] = field(default_factory=dict)
    running: dict[str, ExitStack] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "ana"

    @property
    def settings(self) -> Settings:
        return Settings(self.home, 0.0, pause_s=0)

    @property
    def sheet(self) -> Path:
        return self.folder / "sheet.txt"

    def starts(self, name: str) -> str:
        stack = ExitStack()
        relay = stack.enter_context(disk_relay(self.folder / name, WoundClock()))
        self.urls[name] = stack.enter_context(served(relay_app(relay)))
        self.running[name] = stack
        return self.urls[name]

    def ends(self, name: str) -> None:
        self.running.pop(name).close()

    def lock_is_at(self) -> str:
        head = read_vault_head(self.home)
        assert head.next is None
        assert head.now.lock is not None
        return head.now.lock.relay_url


def words() -> Secret:
    return Secret(WORDS.encode())


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "ana"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", WORDS)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    town = Town(tmp_path)
    for name in ("old", "new"):
        town.starts(name)
    assert run(["setup", "--name", "ana", "--relay", town.urls["old"]], {}) == EXIT_YES
    yield town
    for stack in town.running.values():
        stack.close()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs a command, checks its exit status, and returns its output."""

    def typed(*typed: str, status: int = EXIT_YES) -> str:
        capsys.readouterr()
        assert run(list(typed), {}) == status
        both = capsys.readouterr()
        return both.out + both.err

    return typed


def test_a_device_moves_and_its_lock_with_it(town: Town, said: Said) -> None:
    new = town.urls["new"]
    answer = json.loads(said("device", "move", "--relay", new, "--json"))
    assert (answer["schema"], answer["relay"]) == ("entrenous/moved/1", new)
    assert (answer["before"], answer["letters_waiting"]) == (town.urls["old"], 0)
    assert town.lock_is_at() == new
    with open_device(town.settings, words) as device:
        assert [one.overtaken for one in former_addresses(device)] == [True]
    again = said("device", "move", "--relay", new)
    assert f"This device is at {new} now." in again
    assert "entrenous device recovery" in again
    town.ends("old")
    assert "device 1" in said("device", "list")
    said("device", "move", "--relay", "relay", status=REFUSED)


def test_there_is_nothing_to_move_to_where_one_is(town: Town, said: Said) -> None:
    assert "already" in said("device", "move", "--relay", town.urls["old"], status=REFUSED)
    assert town.lock_is_at() == town.urls["old"]


def test_a_lock_that_did_not_follow_follows_with_the_next_command(town: Town, said: Said) -> None:
    said("device", "offline", "--hours", "2")
    with open_device(town.settings, words) as device:
        move_all_devices(town.urls["new"], None, device)
        assert next_relay_lock(device) is not None
    assert town.lock_is_at() == town.urls["old"]
    said("sent")
    assert town.lock_is_at() == town.urls["new"]
    assert not (town.home / "offline.key").exists()
    town.ends("old")
    said("sent")


def test_tries_are_not_used_up_while_the_new_relay_is_silent(town: Town, said: Said) -> None:
    with open_device(town.settings, words) as device:
        move_all_devices(town.urls["new"], None, device)
    town.ends("new")
    for _ in range(12):
        said("sent")
    with open_unlocked(town.settings, words) as (device, unlocked):
        assert next_relay_lock(device) is not None
        assert unlocked.part.tries_left == 9


def test_a_relay_that_is_gone_for_good_is_left_with_the_sheet(town: Town, said: Said) -> None:
    new = town.urls["new"]
    said("device", "recovery", "--out", str(town.sheet))
    town.ends("old")
    said("sent", status=AWAY)
    said("device", "move", "--relay", new, status=AWAY)
    told = said("device", "move", "--relay", new, "--recovery", str(town.sheet))
    assert f"This device is at {new} now." in told
    assert town.lock_is_at() == new
    said("sent")
    earlier = said("device", "move", "--relay", new, "--recovery", str(town.sheet))
    assert "is at" in earlier  # its relay answers, so no sheet is needed
    town.ends("new")
    refused = said("device", "move", "--relay", new, "--recovery", str(town.sheet), status=REFUSED)
    assert "written before this device moved" in " ".join(refused.split())


def test_a_move_that_broke_off_goes_on_with_the_sheet(town: Town, said: Said) -> None:
    """The lock had not followed yet when the old relay went away for good."""
    new = town.urls["new"]
    said("device", "recovery", "--out", str(town.sheet))
    with open_device(town.settings, words) as device:
        move_all_devices(new, read_sheet(town.sheet.read_text()), device)
    town.ends("old")
    said("sent", status=AWAY)
    said("device", "move", "--relay", new, "--recovery", str(town.sheet))
    assert town.lock_is_at() == new
    said("sent")


def test_a_wrong_sheet_opens_nothing_and_says_why(town: Town, said: Said) -> None:
    said("device", "recovery", "--out", str(town.sheet))
    right = read_sheet(town.sheet.read_text())
    others = {
        "changed after the sheet was written": replace(right, output=Secret(bytes(64))),
        "belongs to another device": replace(right, mailbox=MailboxId(bytes(16))),
    }
    before = town.sheet.read_text()
    town.ends("old")
    for told, sheet in others.items():
        town.sheet.write_text(write_sheet(sheet))
        typed = ("device", "move", "--relay", town.urls["new"], "--recovery", str(town.sheet))
        assert told in " ".join(said(*typed, status=REFUSED).split())
        assert town.lock_is_at() == town.urls["old"]
    town.sheet.write_text(before)
    said("device", "move", "--relay", town.urls["new"], "--recovery", str(town.sheet))
    assert town.lock_is_at() == town.urls["new"]
