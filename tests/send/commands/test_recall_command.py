"""Tests of ``entrenous recall`` and ``sent`` with two real relays; one may stop answering."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrenous.base.environment import SystemClock
from entrenous.carry.http.relay_app import relay_app
from entrenous.cli import run
from entrenous.crypto.vault_key import stretch_passphrase
from entrenous.device.client import http_courier
from entrenous.device.store import vault_folder
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_YES
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.real.processes import wait_until
from tests.vaults import make_vaults_open_quickly

pytestmark = pytest.mark.real

TIMEOUT_S: Final = 2.0  # in place of the usual 30 s
UNANSWERED, GIVEN_UP, WITHDRAWN = "unanswered", "given up", "withdrawn"


@dataclass
class WatchedRelay:
    """A relay that appends events with their times to ``events``.

    While ``silent`` is true, the relay accepts requests and does not answer.
    """

    app: ASGIApp
    events: list[tuple[str, float]]
    silent: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.silent:
            self._record(UNANSWERED)
            while (await receive())["type"] != "http.disconnect":
                pass
            self._record(GIVEN_UP)
        else:
            await self.app(scope, receive, self._wrap_send(scope["path"], send))

    def _wrap_send(self, path: str, send: Send) -> Send:
        async def record_and_send(message: Message) -> None:
            if path.endswith("/withdraw") and message["type"] == "http.response.start":
                self._record(WITHDRAWN)  # the relay commits before it answers
            await send(message)

        return record_and_send

    def _record(self, event: str) -> None:
        self.events.append((event, time.perf_counter()))


@dataclass
class WatchedCommandLine:
    """Runs commands of Ana and Ben at one relay, and of Caro and Dora at another."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    events: list[tuple[str, float]] = field(default_factory=list)
    far_relay: WatchedRelay | None = None

    def run(self, person: str, *arguments: str, status: int = EXIT_YES) -> str:
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / person))
        self.capsys.readouterr()
        exit_status = run(list(arguments), {})
        output, err = self.capsys.readouterr()
        assert exit_status == status, err
        return output if exit_status == EXIT_YES else " ".join(err.split())

    def run_json(self, person: str, *arguments: str) -> Any:
        return json.loads(self.run(person, *arguments, "--json"))

    def set_up_person(self, person: str, url: str) -> None:
        """Set up a person at a relay; Ana adds everybody else as a contact."""
        self.run(person, "setup", "--name", person, "--relay", url)
        if person != "ana":
            self.run(
                "ana", "person", "add", self.run_json(person, "invite")["link"], "--as", person
            )
            self.run(person, "inbox")
            self.run("ana", "inbox")

    def send_to_all(self) -> str:
        to = [
            word
            for person in ("ben", "caro", "dora")
            for word in ("--to", person, "--confirm", person)
        ]
        return str(self.run_json("ana", "send", "--text", "at six", *to)["message"])

    def event_names(self) -> list[str]:
        return [event for event, _ in self.events]

    def share_count(self) -> int:
        """Return the number of key shares at both relays."""
        total = 0
        for relay in ("here", "there"):
            with closing(sqlite3.connect(self.folder / relay / "mail.db")) as database:
                ((count,),) = database.execute("SELECT count(*) FROM stored_share").fetchall()
                total += count
        return total


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[WatchedCommandLine]:
    """Set up four people at two relays, with cheap key derivation; Ana adds the other three."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    clock, cli = (
        SettableClock(SystemClock().now()),
        WatchedCommandLine(tmp_path, monkeypatch, capsys),
    )
    with disk_relay(tmp_path / "here", clock) as here, disk_relay(tmp_path / "there", clock) as far:
        cli.far_relay = WatchedRelay(relay_app(far), cli.events)
        with (
            serve_app(WatchedRelay(relay_app(here), cli.events)) as here_url,
            serve_app(cli.far_relay) as there_url,
        ):
            for person, url in zip(
                ("ana", "ben", "caro", "dora"),
                (here_url, here_url, there_url, there_url),
                strict=True,
            ):
                cli.set_up_person(person, url)
            yield cli


def test_unreachable_relay_delays_recall_once_and_blocks_no_other_copy(
    cli: WatchedCommandLine,
) -> None:
    name = cli.send_to_all()
    assert cli.far_relay is not None
    cli.far_relay.silent = True
    cli.monkeypatch.setattr(http_courier, "_HTTP_TIMEOUT", httpx.Timeout(TIMEOUT_S))
    (message,) = cli.run_json("ana", "sent")["messages"]
    assert [copy["state"] for copy in message["copies"]] == ["waiting"] * 3
    # The relay may notice only later that the client has given up.
    assert wait_until(lambda: cli.event_names() == [UNANSWERED, GIVEN_UP], 60)
    cli.events.clear()
    output = cli.run("ana", "recall", name, status=EXIT_STATUS_BY_FAMILY["unreachable"])
    in_order = output.replace("dora and caro", "caro and dora")
    assert "caro and dora may still be able to open it" in in_order
    # Ben's copy is recalled while the command still waits for the unresponsive relay.
    assert wait_until(lambda: GIVEN_UP in cli.event_names(), 60)
    assert sorted(cli.event_names()) == sorted([UNANSWERED, GIVEN_UP, WITHDRAWN])
    assert cli.event_names()[-1] == GIVEN_UP
    (message,) = cli.run_json("ana", "sent")["messages"]
    states = {copy["to"]: copy["state"] for copy in message["copies"]}
    assert states == {"ben": "taken back", "caro": "waiting", "dora": "waiting"}
    cli.far_relay.silent = False
    cli.run("ana", "recall", name)
    assert cli.share_count() == 0


@pytest.mark.threat("view-once-bypass")
def test_recall_before_the_first_view_deletes_the_shares_within_a_second(
    cli: WatchedCommandLine,
) -> None:
    """The time includes unlocking the vault. Only the fastest of three runs counts."""
    # Derive the key at each unlock, without a cache.
    cli.monkeypatch.setattr(vault_folder, "stretch_passphrase", stretch_passphrase)
    durations_s = list[float]()
    for _ in range(3):
        name = cli.send_to_all()
        assert cli.share_count() == 3
        cli.events.clear()
        begun = time.perf_counter()
        cli.run("ana", "recall", name)
        assert cli.event_names() == [WITHDRAWN] * 3
        durations_s.append(max(at for _, at in cli.events) - begun)
        assert cli.share_count() == 0
    assert min(durations_s) <= 1, durations_s
