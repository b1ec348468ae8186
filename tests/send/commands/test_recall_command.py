"""``entrenous recall`` and ``sent`` with two real relays, one of which may become unresponsive."""

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
from tests.carry.relays import disk_relay, served
from tests.deterministic import SettableClock
from tests.real.stage import wait_until
from tests.vaults import make_vaults_open_quickly

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]

TIMES_OUT_S: Final = 2.0  # instead of 30 s, while a relay does not respond
UNANSWERED, GIVEN_UP, WITHDRAWN = "unanswered", "given up", "withdrawn"


@dataclass
class WatchedRelay:
    """A relay that appends events with their times to ``seen``. While ``silent``, it accepts
    requests and answers none.
    """

    app: ASGIApp
    seen: list[tuple[str, float]]
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
            await self.app(scope, receive, self._recording(scope["path"], send))

    def _recording(self, path: str, send: Send) -> Send:
        async def record_and_send(message: Message) -> None:
            if path.endswith("/withdraw") and message["type"] == "http.response.start":
                self._record(WITHDRAWN)  # the relay commits before it answers
            await send(message)

        return record_and_send

    def _record(self, what: str) -> None:
        self.seen.append((what, time.perf_counter()))


@dataclass
class Town:
    """Ana and Ben at one relay, Caro and Dora at another; Ana has added all of them."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    seen: list[tuple[str, float]] = field(default_factory=list)
    far_relay: WatchedRelay | None = None

    def types(self, who: str, *words: str, status: int = EXIT_YES) -> str:
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / who))
        self.capsys.readouterr()
        exit_status = run(list(words), {})
        output, err = self.capsys.readouterr()
        assert exit_status == status, err
        return output if exit_status == EXIT_YES else " ".join(err.split())

    def does(self, who: str, *words: str) -> Any:
        return json.loads(self.types(who, *words, "--json"))

    def set_up_person(self, who: str, url: str) -> None:
        self.types(who, "setup", "--name", who, "--relay", url)
        if who != "ana":
            self.types("ana", "person", "add", self.does(who, "invite")["link"], "--as", who)
            self.types(who, "inbox")
            self.types("ana", "inbox")

    def sends_to_all(self) -> str:
        to = [word for who in ("ben", "caro", "dora") for word in ("--to", who, "--confirm", who)]
        return str(self.does("ana", "send", "--text", "at six", *to)["message"])

    def events(self) -> list[str]:
        return [what for what, _ in self.seen]

    def shares(self) -> int:
        """Return the number of key shares at both relays."""
        total = 0
        for relay in ("here", "there"):
            with closing(sqlite3.connect(self.folder / relay / "mail.db")) as database:
                ((count,),) = database.execute("SELECT count(*) FROM stored_share").fetchall()
                total += count
        return total


@pytest.fixture
def town(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Town]:
    """Set up four people at two relays, with cheap key derivation."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "0")
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    clock, town = SettableClock(SystemClock().now()), Town(tmp_path, monkeypatch, capsys)
    with disk_relay(tmp_path / "here", clock) as here, disk_relay(tmp_path / "there", clock) as far:
        town.far_relay = WatchedRelay(relay_app(far), town.seen)
        with (
            served(WatchedRelay(relay_app(here), town.seen)) as here_url,
            served(town.far_relay) as there_url,
        ):
            for who, url in zip(
                ("ana", "ben", "caro", "dora"),
                (here_url, here_url, there_url, there_url),
                strict=True,
            ):
                town.set_up_person(who, url)
            yield town


def test_unreachable_relay_delays_recall_once_and_blocks_no_other_copy(town: Town) -> None:
    name = town.sends_to_all()
    assert town.far_relay is not None
    town.far_relay.silent = True
    town.monkeypatch.setattr(http_courier, "_HTTP_TIMEOUT", httpx.Timeout(TIMES_OUT_S))
    (message,) = town.does("ana", "sent")["messages"]
    assert [copy["state"] for copy in message["copies"]] == ["waiting"] * 3
    # The relay notices later that the client has given up.
    assert wait_until(lambda: town.events() == [UNANSWERED, GIVEN_UP], 60)
    town.seen.clear()
    output = town.types("ana", "recall", name, status=EXIT_STATUS_BY_FAMILY["unreachable"])
    assert "caro and dora can still open it" in output.replace("dora and caro", "caro and dora")
    # Ben's copy is recalled while the unresponsive relay is still waited for.
    assert wait_until(lambda: GIVEN_UP in town.events(), 60)
    assert sorted(town.events()) == sorted([UNANSWERED, GIVEN_UP, WITHDRAWN])
    assert town.events()[-1] == GIVEN_UP
    (message,) = town.does("ana", "sent")["messages"]
    states = {copy["to"]: copy["state"] for copy in message["copies"]}
    assert states == {"ben": "taken back", "caro": "waiting", "dora": "waiting"}
    town.far_relay.silent = False
    town.types("ana", "recall", name)
    assert town.shares() == 0


@pytest.mark.threat("view-once-bypass")
def test_before_the_first_view_the_shares_are_gone_within_a_second(town: Town) -> None:
    """The time includes unlocking the vault; the best of three counts because machines are busy."""
    town.monkeypatch.setattr(
        vault_folder, "stretch_passphrase", stretch_passphrase
    )  # derive the key at each unlock, without a cache
    durations_s = list[float]()
    for _ in range(3):
        name = town.sends_to_all()
        assert town.shares() == 3
        town.seen.clear()
        begun = time.perf_counter()
        town.types("ana", "recall", name)
        assert town.events() == [WITHDRAWN] * 3
        durations_s.append(max(at for _, at in town.seen) - begun)
        assert town.shares() == 0
    assert min(durations_s) <= 1, durations_s
