"""A relay that is started with another database, and one whose PostgreSQL was restored."""

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
from tests.carry.commands.test_restore import sent
from tests.postgres import Cluster
from tests.ready import begun
from tests.vaults import make_vaults_open_quickly

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]

PASSWORD = "hush-hush"
UNREACHABLE = EXIT_STATUS_BY_FAMILY["unreachable"]


@dataclass
class House:
    """A relay whose settings change but not its address, and people with a device each."""

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

    def uses(self, database: str | None) -> None:
        line = "" if database is None else f'database = "{database}"\n'
        listen = f'listen = "127.0.0.1:{self.port}"\n'
        self.settings.write_text(f"{line}{listen}free_mb_min = 0\n")

    def starts(self, *more: str) -> "subprocess.Popen[str]":
        program = [sys.executable, "-m", "entrenous", "relay", "run", "--json", *more]
        command = [*program, "--settings", str(self.settings)]
        return begun(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")

    @contextmanager
    def serves(self, *more: str) -> Iterator[None]:
        with self.starts(*more) as process:
            try:
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["url"] == self.url
                yield
                process.send_signal(signal.SIGTERM)
                assert process.wait(120) == 0
            finally:
                process.kill()

    def refused(self) -> str:
        """Start a relay that must refuse to run, and return its message."""
        with self.starts() as process:
            try:
                said = process.communicate(timeout=120)[1]
            finally:
                process.kill()
        assert process.returncode == 3
        return " ".join(said.split())

    def types(self, name: str, *words: str, status: int = 0) -> str:
        """Run a command of a person, or a relay command of the operator; return its output."""
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / name))
        self.capsys.readouterr()
        done = run(list(words), {})
        said = self.capsys.readouterr()
        assert done == status, said.err
        return " ".join(f"{said.out} {said.err}".split())

    def operator(self, *words: str, status: int = 0) -> str:
        return self.types("relay", "relay", *words, "--settings", str(self.settings), status=status)

    def reads(self, name: str) -> list[str]:
        """Open the waiting messages, and return their texts."""
        came = self.answer(name, "inbox")["messages"]
        waiting = [one["message"] for one in came if one["state"] == "waiting"]
        return [self.answer(name, "open", one)["text"] for one in waiting]

    def answer(self, name: str, *words: str) -> dict[str, Any]:
        """Return the JSON object that a command prints; other output of it follows the object."""
        answer, _ = json.JSONDecoder().raw_decode(self.types(name, *words, "--json"))
        assert isinstance(answer, dict)
        return answer

    def introduce(self) -> None:
        """Set up Ana and Ben, who become contacts."""
        for name in ("ana", "ben"):
            self.types(name, "setup", "--name", name, "--relay", self.url)
        link = json.loads(self.types("ben", "invite", "--json"))["link"]
        self.types("ana", "person", "add", link, "--as", "ben")
        for name in ("ben", "ana"):
            self.types(name, "inbox")


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> House:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "some words that are hard to guess")
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "1")
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    make_vaults_open_quickly(monkeypatch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return House(tmp_path, free.getsockname()[1], capsys, monkeypatch)


@pytest.mark.threat("database-changed")
@pytest.mark.parametrize("to_postgresql", [True, False])
def test_another_database_is_refused_and_costs_nothing_where_it_is_served(
    house: House, postgres: Cluster, *, to_postgresql: bool
) -> None:
    """In both directions. If the other database is served all the same, no device is locked for
    good, and nothing is lost when the first one is back.
    """
    url = postgres.fresh().replace("entrenous@", f"entrenous:{PASSWORD}@")
    before, after = (None, url) if to_postgresql else (url, None)
    house.uses(before)
    with house.serves():
        house.introduce()
        house.types("ana", "send", "--to", "ben", "--confirm", "ben", "--text", "before")
    house.uses(after)
    checked = house.operator("check", status=1)
    for said in (house.refused(), checked):
        assert "relay-data/mail.db" in said
        assert f"postgresql:///relay{url.partition('/relay')[2].partition('?')[0]}" in said
        assert "is empty" in said
        assert PASSWORD not in said
    with house.serves("--other-database"):
        for name in ("ana", "ben"):
            said = house.types(name, "inbox", status=UNREACHABLE)
            assert "does not know this device" in said
            assert "can no longer be unlocked" not in said
    house.uses(before)
    assert "mail.db" in house.refused()
    with house.serves("--other-database"):
        assert house.reads("ben") == ["before"]
        house.types("ana", "send", "--to", "ben", "--confirm", "ben", "--text", "afterwards")
    with house.serves():
        assert house.reads("ben") == ["afterwards"]


def test_a_folder_whose_database_went_away_is_not_begun_anew(house: House) -> None:
    house.uses(None)
    with house.serves():
        pass
    (house.folder / "relay-data" / "mail.db").unlink()
    assert "is empty" in house.refused()
    assert not (house.folder / "relay-data" / "mail.db").exists()
    assert "is empty" in house.operator("check", status=1)


@pytest.mark.threat("backups-revive")
def test_a_restored_postgresql_is_told_of_by_one_command(house: House, postgres: Cluster) -> None:
    """A recalled, an opened and a waiting message; a plain pg_restore would let all be opened."""
    url = postgres.fresh()
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    dump, where = postgres.folder / f"{name}.dump", ("-h", str(postgres.folder), "-U", "entrenous")
    house.uses(url)
    with house.serves(), new_relay_client() as web:
        courier = HttpCourier(web)
        waits, recalled, opened = (sent(courier, house.url, number) for number in range(3))
        postgres.run("pg_dump", "-Fc", "-f", str(dump), *where, str(name))
        courier.withdraw(house.url, recalled.id, recalled.withdraw)
        attempt = opened.attempt()
        courier.open_share(house.url, opened.id, opened.open, attempt)
        courier.finish_opening(house.url, opened.id, opened.open, attempt)
        assert "still running" in house.operator("restored", status=3)
    postgres.run("pg_restore", "--clean", "-d", str(name), *where, str(dump))
    house.uses(postgres.fresh())
    assert "is empty" in house.operator("restored", status=3)
    house.uses(url)
    told = json.loads(house.operator("restored", "--json"))
    assert (told["lost"], told["missing"]) == (3, 2)
    with house.serves(), new_relay_client() as web:
        courier = HttpCourier(web)
        status = httpx.get(f"{house.url}/v1/status", trust_env=False).json()
        assert status["restored_at"] is not None
        for post in (waits, recalled, opened):
            state = courier.envelope_status(house.url, post.id, post.withdraw).state
            assert state is EnvelopeState.LOST
            with pytest.raises(NoSuchEnvelope):
                courier.open_share(house.url, post.id, post.open, post.attempt())
        sent(courier, house.url, 7)
