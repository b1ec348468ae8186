"""Tests of linking, listing, revoking and connecting devices, and of notices about contacts."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrenous.base.environment import Settings
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.cli import run
from entrenous.device.device import Device
from entrenous.device.lock_errors import WrongPassphrase
from entrenous.device.open_device import create_lockable_device, open_unlocked
from entrenous.device.store.vault_folder import has_vault, read_vault_head, unlock_vault_in_folder
from entrenous.send.commands import setup
from entrenous.send.commands.catch_up import describe_contact_change
from entrenous.send.devices.device_wording import describe_revocation
from entrenous.send.devices.link_new_device import start_on_new_device
from entrenous.send.devices.link_old_device import start_on_old_device
from entrenous.send.devices.own_devices import (
    LOST_DEVICE_CHECKLIST,
    RevocationResult,
    RevocationState,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.people_nouns import ContactChange, DeviceListContradiction
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_USAGE_ERROR, EXIT_YES
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.send.commands.device.conftest import RelayCommandLine
from tests.vaults import create_device, make_vaults_open_quickly, open_device, return_no_share
from tests.village.households import link_devices

pytestmark = pytest.mark.real

PASSPHRASE = "four or five unrelated words"
RunCommand = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set up Ana's laptop at a relay, with cheap key derivation."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "ana"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    with (
        disk_relay(tmp_path / "relay", SettableClock()) as relay,
        serve_app(relay_app(relay)) as url,
    ):
        assert run(["setup", "--name", "ana", "--relay", url], {}) == EXIT_YES
        yield tmp_path / "ana"


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Return a function that runs a command, checks its exit status, and returns its output."""

    def run_and_check(*words: str, status: int = EXIT_YES) -> str:
        capsys.readouterr()
        assert run(list(words), {}) == status
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run_and_check


def link_phone(home: Path) -> None:
    with (
        open_device(Settings(home, 0.0, pause_s=0), lambda: Secret(PASSPHRASE.encode())) as laptop,
        create_device(
            Settings(home / "../phone", 0.0, pause_s=0), lambda: Secret(PASSPHRASE.encode())
        ) as phone,
    ):
        link_devices(laptop, phone, "phone")
        for one in (phone, laptop):
            fetch_messages(one)


def test_device_list_shows_linked_devices_until_they_are_revoked(
    home: Path, run_command: RunCommand
) -> None:
    assert "device 1  (this one, since" in run_command("device", "list")
    link_phone(home)
    lines = run_command("device", "list")
    assert "phone  (since" in lines
    assert "Your master key is on this device." in lines
    output = run_command("device", "revoke", "phone", "--lost")
    assert "phone is revoked: no passphrase opens its vault any more, unless" in output
    assert "168 hours" in output
    assert all(one.what in output for one in LOST_DEVICE_CHECKLIST)
    assert "phone" not in run_command("device", "list")
    answer = json.loads(run_command("device", "list", "--json"))
    assert (answer["schema"], answer["not_shut_yet"]) == ("entrenous/devices/1", [])


def test_interruption_after_linking_keeps_the_linked_device(
    home: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, phone_home = Secret(PASSPHRASE.encode()), home / "../phone"

    def link_then_interrupt(place: Path, laptop: Device | None) -> None:
        with create_device(Settings(place, 0.0, pause_s=0), lambda: words) as new:
            if laptop is not None:
                link_devices(laptop, new, "phone")
            raise KeyboardInterrupt

    with (
        open_device(Settings(home, 0.0, pause_s=0), lambda: words) as laptop,
        pytest.raises(KeyboardInterrupt),
    ):
        link_then_interrupt(phone_home, laptop)
    with pytest.raises(KeyboardInterrupt):
        link_then_interrupt(home / "../none", None)
    assert not (home / "../none/vault.json").exists()
    monkeypatch.setenv("ENTRENOUS_HOME", str(phone_home))
    assert "phone  (this one" in run_command("device", "list")


@pytest.mark.threat("stolen-device")
def test_device_whose_linking_was_interrupted_can_be_revoked(
    home: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C arrives just after the phone has been linked."""
    words, stolen = Secret(PASSPHRASE.encode()), home / "../phone"

    def link_then_interrupt(laptop: Device) -> None:
        with create_lockable_device(Settings(stolen, 0.0, pause_s=0), lambda: words) as (
            phone,
            lock,
        ):
            link_devices(laptop, phone, "phone", lock)
            raise KeyboardInterrupt

    with (
        open_device(Settings(home, 0.0, pause_s=0), lambda: words) as laptop,
        pytest.raises(KeyboardInterrupt),
    ):
        link_then_interrupt(laptop)
    assert read_vault_head(stolen).now.lock is not None
    with pytest.raises(WrongPassphrase):
        unlock_vault_in_folder(stolen, words, return_no_share)
    assert "no passphrase opens its vault" in run_command("device", "revoke", "phone", "--lost")
    monkeypatch.setenv("ENTRENOUS_HOME", str(stolen))
    assert "can no longer be unlocked" in run_command(
        "inbox", status=EXIT_STATUS_BY_FAMILY["refused"]
    )


def test_linking_can_be_repeated_after_a_kill_before_the_grant(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, place = Secret(PASSPHRASE.encode()), Settings(home / "../phone", 0.0, pause_s=0)

    def link_and_kill(laptop: Device) -> None:
        """Start to link a phone, then stop as if killed: the phone's vault is not discarded."""
        with (
            monkeypatch.context() as patch,
            create_lockable_device(place, lambda: words) as (phone, lock),
        ):
            patch.setattr("entrenous.device.open_device.discard_vault", lambda _: None)
            lock(start_on_new_device(start_on_old_device(None, laptop).code, None, phone).home)
            raise KeyboardInterrupt

    with open_device(Settings(home, 0.0, pause_s=0), lambda: words) as laptop:
        with pytest.raises(KeyboardInterrupt):
            link_and_kill(laptop)
        assert not has_vault(place.home)
        with create_lockable_device(place, lambda: words) as (phone, lock):
            link_devices(laptop, phone, "phone", lock)
            fetch_messages(phone)
    for _ in range(2):
        with open_unlocked(place, lambda: words) as (_, unlocked):
            assert (unlocked.terms.lock is not None, unlocked.missed) == (True, 0)


def test_link_code_is_read_from_standard_input(
    home: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_codes = list[str]()
    monkeypatch.setattr(setup, "link_on_new_device", lambda code, *_, **__: link_codes.append(code))
    monkeypatch.setattr("sys.stdin", io.StringIO("entrenous-link:2:AAAA\nyes\n"))
    monkeypatch.setenv("ENTRENOUS_HOME", str(home / "../other"))
    run_command("setup", "--link", "-")
    assert link_codes == ["entrenous-link:2:AAAA"]


@pytest.mark.parametrize("state", list(RevocationState))
def test_only_a_locked_vault_is_reported_as_locked(state: RevocationState) -> None:
    text = "\n".join(describe_revocation(RevocationResult("phone", state)))
    assert ("no passphrase opens" in text) == (state is RevocationState.DONE)
    assert ("NOT locked" in text) == (state in {RevocationState.ELSEWHERE, RevocationState.REFUSED})
    assert "168 hours" in text


def test_invalid_revocations_are_refused(home: Path, run_command: RunCommand) -> None:
    assert home.exists()
    missing = EXIT_STATUS_BY_FAMILY["not-found"]
    assert "none yet" in run_command("device", "revoke", "phone", status=missing)
    assert "another one" in run_command(
        "device", "revoke", "device 1", status=EXIT_STATUS_BY_FAMILY["refused"]
    )


def test_setup_refuses_an_invalid_code_and_conflicting_options(
    home: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_device(Settings(home, 0.0, pause_s=0), lambda: Secret(PASSPHRASE.encode())) as laptop:
        code = start_on_old_device(None, laptop).code
    monkeypatch.setenv("ENTRENOUS_HOME", str(home / "../other"))
    malformed = EXIT_STATUS_BY_FAMILY["malformed"]
    assert "link code" in run_command("setup", "--link", code[:-5], status=malformed)
    run_command("setup", "--link", code, "--name", "Ana", status=EXIT_USAGE_ERROR)
    run_command("setup", "--offline", status=EXIT_USAGE_ERROR)
    assert not (home / "../other/vault.json").exists()


@pytest.mark.parametrize("contradiction", list(DeviceListContradiction))
def test_contradictory_lists_are_reported(contradiction: DeviceListContradiction) -> None:
    now = SettableClock().now()
    others = describe_contact_change(
        ContactChange("Ben", now, 0, 0, trust_lost=False, lists=contradiction)
    )
    ours = describe_contact_change(
        ContactChange("", now, 0, 0, trust_lost=False, lists=contradiction)
    )
    assert "Ben" in others
    assert "your" in ours
    assert "{" not in others + ours


def test_renaming_of_a_duplicate_name_is_reported() -> None:
    text = describe_contact_change(
        ContactChange("Kim 2", SettableClock().now(), 0, 0, trust_lost=False, was="Kim")
    )
    assert "called two different people or circles Kim." in text
    assert "Kim 2" in text


@pytest.mark.parametrize("on_sheet", [False, True])
def test_commands_that_continue_a_move_name_the_sheet_if_it_has_the_master_key(
    home: Path, tmp_path: Path, run_command: RunCommand, *, on_sheet: bool
) -> None:
    link_phone(home)
    sheet = str(tmp_path / "sheet.txt")
    if on_sheet:
        run_command("device", "recovery", "--out", sheet)
    with_sheet = ("--recovery", sheet) if on_sheet else ()
    with (
        disk_relay(tmp_path / "other", SettableClock()) as relay,
        serve_app(relay_app(relay)) as url,
    ):
        move, ending = ("device", "move", "--relay", url), " --recovery FILE" if on_sheet else ""
        not_ready = run_command(*move, *with_sheet, status=EXIT_STATUS_BY_FAMILY["unreachable"])
        assert f"run here again: entrenous {' '.join(move)}{ending}. If" in not_ready
        assert f"revoke it first: entrenous device revoke NAME{ending}\n" in not_ready
        listed = run_command("device", "list")
        assert f"Continue:\nentrenous {' '.join(move)}{ending}\n" in listed


def test_a_device_without_a_relay_is_connected_and_locked(cli: RelayCommandLine) -> None:
    cli.run("ben", "setup", "--name", "Ben", "--offline")
    refused = cli.run("ben", "invite", status=EXIT_STATUS_BY_FAMILY["refused"])
    assert "connect it to a relay: entrenous device move --relay URL" in refused
    output = cli.run("ben", "device", "move", "--relay", cli.url)
    assert f"This device is connected to {cli.url}." in output
    locked = read_vault_head(cli.folder / "ben").now.lock
    assert locked is not None
    assert locked.relay_url == cli.url
    cli.run("ben", "inbox")
    link = json.loads(cli.run("ben", "invite", "--json"))["link"]
    cli.run("ana", "person", "add", link, "--as", "ben")
