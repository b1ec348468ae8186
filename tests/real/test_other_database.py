"""Tests of refusing replaced or missing databases, and of ``relay restored`` for PostgreSQL."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from entrenous.base.errors import NoSuchEnvelope
from entrenous.cli import run
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.commands.test_restore import send_message
from tests.postgres import Cluster
from tests.ready import start_program
from tests.vaults import make_vaults_open_quickly

pytestmark = pytest.mark.real

PASSWORD = "hush-hush"
UNREACHABLE = EXIT_STATUS_BY_FAMILY["unreachable"]


@dataclass
class RelayWithPeople:
    """A relay with changing settings and a fixed address, and people with a device each."""

    folder: Path
    port: int
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "relay.toml"

    def use_database(self, database: str | None) -> None:
        line = "" if database is None else f'database = "{database}"\n'
        listen = f'listen = "127.0.0.1:{self.port}"\n'
        self.settings.write_text(f"{line}{listen}free_mb_min = 0\n")

    def start(self, *options: str) -> "subprocess.Popen[str]":
        program = [sys.executable, "-m", "entrenous", "relay", "run", "--json", *options]
        command = [*program, "--settings", str(self.settings)]
        return start_program(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )

    @contextmanager
    def run(self, *options: str) -> Iterator[None]:
        with self.start(*options) as process:
            try:
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["url"] == self.url
                yield
                process.send_signal(signal.SIGTERM)
                assert process.wait(120) == 0
            finally:
                process.kill()

    def start_and_read_refusal(self) -> str:
        """Start a relay that must refuse to run, and return the message."""
        with self.start() as process:
            try:
                message = process.communicate(timeout=120)[1]
            finally:
                process.kill()
        assert process.returncode == 3
        return " ".join(message.split())

    def run_command(self, name: str, *words: str, status: int = 0) -> str:
        """Run a command of a person or of the relay's operator, and return the output."""
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / name))
        self.capsys.readouterr()
        done = run(list(words), {})
        message = self.capsys.readouterr()
        assert done == status, message.err
        return " ".join(f"{message.out} {message.err}".split())

    def run_relay_command(self, *words: str, status: int = 0) -> str:
        return self.run_command(
            "relay", "relay", *words, "--settings", str(self.settings), status=status
        )

    def open_waiting_messages(self, name: str) -> list[str]:
        """Open the waiting messages, and return the texts."""
        received = self.run_json_command(name, "inbox")["messages"]
        waiting = [one["message"] for one in received if one["state"] == "waiting"]
        return [self.run_json_command(name, "open", one)["text"] for one in waiting]

    def run_json_command(self, name: str, *words: str) -> dict[str, Any]:
        """Run a command, and return the JSON object at the start of the output."""
        answer, _ = json.JSONDecoder().raw_decode(self.run_command(name, *words, "--json"))
        assert isinstance(answer, dict)
        return answer

    def make_contacts(self) -> None:
        """Set up Ana and Ben, who become contacts."""
        for name in ("ana", "ben"):
            self.run_command(name, "setup", "--name", name, "--relay", self.url)
        link = json.loads(self.run_command("ben", "invite", "--json"))["link"]
        self.run_command("ana", "person", "add", link, "--as", "ben")
        for name in ("ben", "ana"):
            self.run_command(name, "inbox")


@pytest.fixture
def relay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> RelayWithPeople:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "some words that are hard to guess")
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "1")
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    make_vaults_open_quickly(monkeypatch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return RelayWithPeople(tmp_path, free.getsockname()[1], capsys, monkeypatch)


@pytest.mark.threat("database-changed")
@pytest.mark.parametrize("to_postgresql", [True, False])
def test_another_database_is_refused_and_serving_it_loses_nothing(
    relay: RelayWithPeople, postgres: Cluster, *, to_postgresql: bool
) -> None:
    """The relay changes from SQLite to PostgreSQL, or back. If it serves the other database because
    of ``--other-database``, no device is locked for good, and no message is lost.
    """
    url = postgres.create_database().replace("entrenous@", f"entrenous:{PASSWORD}@")
    before, after = (None, url) if to_postgresql else (url, None)
    relay.use_database(before)
    with relay.run():
        relay.make_contacts()
        relay.run_command("ana", "send", "--to", "ben", "--confirm", "ben", "--text", "before")
    relay.use_database(after)
    checked = relay.run_relay_command("check", status=1)
    for message in (relay.start_and_read_refusal(), checked):
        assert "relay-data/mail.db" in message
        assert f"postgresql:///relay{url.partition('/relay')[2].partition('?')[0]}" in message
        assert "is empty" in message
        assert PASSWORD not in message
    with relay.run("--other-database"):
        for name in ("ana", "ben"):
            message = relay.run_command(name, "inbox", status=UNREACHABLE)
            assert "does not know this device" in message
            assert "can no longer be unlocked" not in message
    relay.use_database(before)
    assert "mail.db" in relay.start_and_read_refusal()
    with relay.run("--other-database"):
        assert relay.open_waiting_messages("ben") == ["before"]
        relay.run_command("ana", "send", "--to", "ben", "--confirm", "ben", "--text", "afterwards")
    with relay.run():
        assert relay.open_waiting_messages("ben") == ["afterwards"]


def test_relay_does_not_replace_a_missing_database(relay: RelayWithPeople) -> None:
    relay.use_database(None)
    with relay.run():
        pass
    (relay.folder / "relay-data" / "mail.db").unlink()
    assert "is empty" in relay.start_and_read_refusal()
    assert not (relay.folder / "relay-data" / "mail.db").exists()
    assert "is empty" in relay.run_relay_command("check", status=1)


@pytest.mark.threat("backups-revive")
def test_one_command_declares_a_restored_postgresql(
    relay: RelayWithPeople, postgres: Cluster
) -> None:
    """After ``relay restored``, nobody can open a message from before the restore, so that no
    recalled or opened message opens again.
    """
    url = postgres.create_database()
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    dump, where = postgres.folder / f"{name}.dump", ("-h", str(postgres.folder), "-U", "entrenous")
    relay.use_database(url)
    with relay.run(), new_relay_client() as web:
        courier = HttpCourier(web)
        waits, recalled, opened = (send_message(courier, relay.url, number) for number in range(3))
        postgres.run("pg_dump", "-Fc", "-f", str(dump), *where, str(name))
        courier.withdraw(relay.url, recalled.id, recalled.withdraw)
        attempt = opened.new_attempt()
        courier.open_share(relay.url, opened.id, opened.open, attempt)
        courier.finish_opening(relay.url, opened.id, opened.open, attempt)
        assert "still running" in relay.run_relay_command("restored", status=3)
    postgres.run("pg_restore", "--clean", "-d", str(name), *where, str(dump))
    relay.use_database(postgres.create_database())
    assert "is empty" in relay.run_relay_command("restored", status=3)
    relay.use_database(url)
    restored = json.loads(relay.run_relay_command("restored", "--json"))
    assert (restored["lost"], restored["missing"]) == (3, 2)
    with relay.run(), new_relay_client() as web:
        courier = HttpCourier(web)
        status = httpx.get(f"{relay.url}/v1/status", trust_env=False).json()
        assert status["restored_at"] is not None
        for post in (waits, recalled, opened):
            state = courier.envelope_status(relay.url, post.id, post.withdraw).state
            assert state is EnvelopeState.LOST
            with pytest.raises(NoSuchEnvelope):
                courier.open_share(relay.url, post.id, post.open, post.new_attempt())
        send_message(courier, relay.url, 7)
