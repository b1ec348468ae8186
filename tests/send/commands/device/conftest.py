"""The fixture ``cli``: a real relay, and Ana with one device and a recovery sheet."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrenous.base.environment import Settings, SystemClock
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.cli import run
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.identities import mailbox_address
from entrenous.terminal.session import EXIT_YES
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.vaults import make_vaults_open_quickly, open_device

PASSPHRASE = "four or five unrelated words"


@dataclass
class RelayCommandLine:
    """Runs people's commands at a real relay."""

    folder: Path
    url: str
    relay_stack: ExitStack
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def sheet_path(self) -> Path:
        return self.folder / "sheet.txt"

    @property
    def revoke_by_sheet_command(self) -> tuple[str, ...]:
        return ("device", "revoke", "--lost", "--recovery", str(self.sheet_path))

    def run(self, person: str, *arguments: str, status: int = EXIT_YES) -> str:
        """Run a person's command, check its exit status, and return all output on one line."""
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / person))
        self.capsys.readouterr()
        exit_status = run(list(arguments), {})
        captured = self.capsys.readouterr()
        assert exit_status == status, captured.err
        return " ".join((captured.out + captured.err).split())

    def replace_close_token(self, person: str) -> None:
        """Replace a device's close token at the relay; older recovery sheets become outdated."""
        passphrase = Secret(PASSPHRASE.encode())
        with open_device(
            Settings(self.folder / person, 0.0, pause_s=0), lambda: passphrase
        ) as device:
            home = mailbox_address(device.vault)
        assert home is not None
        with new_relay_client() as client:
            close = Secret(bytes(32))
            HttpCourier(client).set_close_token(self.url, home.mailbox, home.owner, close)

    def run_elsewhere(self, *arguments: str, status: int = EXIT_YES) -> str:
        """Run a command as on another machine, without Ana's folder and passphrase."""
        with self.monkeypatch.context() as patch:
            patch.delenv("ENTRENOUS_PASSPHRASE")
            output = self.run("nothing", *arguments, status=status)
        assert not (self.folder / "nothing").exists()
        return output


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RelayCommandLine]:
    """Set up a relay, and Ana's device with a recovery sheet and cheap key derivation."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    with ExitStack() as relay:
        mail = relay.enter_context(
            disk_relay(tmp_path / "relay", SettableClock(SystemClock().now()))
        )
        url = relay.enter_context(serve_app(relay_app(mail)))
        cli = RelayCommandLine(tmp_path, url, relay, monkeypatch, capsys)
        cli.run("ana", "setup", "--name", "Ana", "--relay", url)
        cli.run("ana", "device", "recovery", "--out", str(cli.sheet_path))
        yield cli
