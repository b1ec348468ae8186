"""Tests of commands whose relay is killed or unreachable while they send or open a message."""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.real.processes import Server, Shell, wait_until
from tests.sizes import size
from tests.village.world import photo

pytestmark = pytest.mark.real

JPEG_START = b"\xff\xd8"
SEND_OPTIONS = ("--to", "ben", "--confirm", "ben", "--once", "--allow-export", "--json")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("killed") / "relay", ("relay", "run"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def people_and_picture(
    relay: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Shell, Shell, Path]:
    """Set up Ana and Ben as contacts, and save a photograph; return all three."""
    folder = tmp_path_factory.mktemp("people")
    ana, ben = (Shell(name, folder / name) for name in ("ana", "ben"))
    for one in (ana, ben):
        one.run("setup", "--name", one.name, "--relay", relay.url)
    ana.add_contact(ben)
    picture = folder / "picture.jpg"
    picture.write_bytes(photo(width_px=160))
    return ana, ben, picture


def blob_file_count(relay: Server) -> int:
    return sum(place.is_file() for place in (relay.folder / "blobs").rglob("*"))


def query_rows(relay: Server, query: str) -> list[object]:
    """Query the relay's database from outside, read-only."""
    path = f"file:{relay.folder / 'mail.db'}?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as database:
        return database.execute(query).fetchall()


def watch_for_blob_file(relay: Server) -> Callable[[], bool]:
    before = blob_file_count(relay)
    return lambda: blob_file_count(relay) > before


def watch_for_unlock_count(relay: Server) -> Callable[[], bool]:
    """Return a function that says whether the relay has counted a new try to unlock."""
    unlock_counts = "SELECT asked FROM stored_lock ORDER BY mailbox"
    before = query_rows(relay, unlock_counts)
    return lambda: query_rows(relay, unlock_counts) != before


def watch_for_key_release(relay: Server) -> Callable[[], bool]:
    attempts = "SELECT attempt FROM stored_attempt"
    before = query_rows(relay, attempts)
    return lambda: query_rows(relay, attempts) != before


def kill_and_restart(relay: Server, pause_s: float = 0.3) -> None:
    relay.stop(signal.SIGKILL)
    time.sleep(pause_s)
    relay.start()


def test_message_arrives_once_if_the_relay_is_killed_during_an_upload_or_unlock(
    relay: Server, people_and_picture: tuple[Shell, Shell, Path]
) -> None:
    ana, ben, picture = people_and_picture
    sent = []
    conditions: list[Callable[[Server], Callable[[], bool]]] = [
        watch_for_blob_file,
        watch_for_unlock_count,
    ]
    for watch_for in size(conditions, [*conditions, *conditions]):
        has_happened = watch_for(relay)
        sending = ana.start("send", str(picture), *SEND_OPTIONS)
        assert wait_until(has_happened, 60)
        kill_and_restart(relay)
        done = ana.wait(sending)
        assert done.status == 0, done.err.decode()  # the command waited, and then continued
        sent.append(done.answer["message"])
    check_each_arrives_once(sent, ana, ben)


@pytest.fixture
def other_relay(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "other relay", ("relay", "run"))
    server.start()
    yield server
    server.stop()


def test_failed_message_is_resumed_later_and_opened(
    other_relay: Server, people_and_picture: tuple[Shell, Shell, Path], tmp_path: Path
) -> None:
    """Caro's relay is unreachable. Ana's own relay answers, so that her device can be unlocked."""
    ana, _, picture = people_and_picture
    caro = Shell("caro", tmp_path / "caro")
    caro.run("setup", "--name", "caro", "--relay", other_relay.url)
    ana.add_contact(caro)
    other_relay.stop(signal.SIGKILL)
    to_caro = ("--to", "caro", "--confirm", "caro", "--json")
    failed = ana.run("send", str(picture), *to_caro, status=6, patience_s=0.2)
    assert failed.out == b""
    assert b"--resume" in failed.err
    other_relay.start()
    assert ana.run("send", "--resume", "--json").answer["left"] == 1
    (name,) = caro.inbox()
    (file,) = caro.run("open", name, "--out", str(tmp_path), "--json").answer["files"]
    assert Path(file).read_bytes().startswith(JPEG_START)


def test_relay_killed_during_an_opening_loses_neither_key_nor_count(
    relay: Server, people_and_picture: tuple[Shell, Shell, Path], tmp_path: Path
) -> None:
    ana, ben, picture = people_and_picture
    name = ana.run("send", str(picture), *SEND_OPTIONS).answer["message"]
    has_happened = watch_for_key_release(relay)
    opening = ben.start("open", name, "--export", "--out", str(tmp_path), "--json")
    assert wait_until(has_happened, 60)
    kill_and_restart(relay)
    done = ben.wait(opening)
    assert done.status == 0, done.err.decode()
    assert [Path(place).stat().st_size > 1000 for place in done.answer["files"]] == [True]
    assert sent_states(ana)[name] == "opened"


def check_each_arrives_once(names: list[str], ana: Shell, ben: Shell) -> None:
    inbox = ben.inbox()
    assert len(set(names)) == len(names)
    assert {inbox[name] for name in names} == {"waiting"}
    for name in names:
        out = ben.home.parent / "received"
        (file,) = ben.run("open", name, "--export", "--out", str(out), "--json").answer["files"]
        assert Path(file).read_bytes().startswith(JPEG_START)
    seen = sent_states(ana)
    assert {seen[name] for name in names} == {"opened"}


def sent_states(person: Shell) -> dict[str, str]:
    """Return the state of each message's last copy. The command soon gives up on a relay that
    does not answer, because Caro's relay may be stopped.
    """
    messages = person.run("sent", "--json", patience_s=1).answer["messages"]
    return {one["message"]: copy["state"] for one in messages for copy in one["copies"]}
