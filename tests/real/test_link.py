"""Tests of linking two devices of one person, and of moving and revoking them, by real commands."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ready import start_program
from tests.real.processes import PROGRAM, CommandResult, Server, Shell

pytestmark = pytest.mark.real


@dataclass
class InteractiveCommand:
    """A running command with lines of JSON as output and typed lines as input."""

    process: subprocess.Popen[str]

    def read_json(self) -> dict[str, object]:
        """Return the next JSON object that the command prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        read: dict[str, object] = json.loads(line)
        return read

    def type_line(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for_end(self) -> CommandResult:
        out, err = self.process.communicate(timeout=180)
        return CommandResult(self.process.returncode, out.encode(), err.encode())


def start_interactive(shell: Shell, *arguments: str) -> InteractiveCommand:
    environment = {
        **os.environ,
        "ENTRENOUS_HOME": str(shell.home),
        "ENTRENOUS_PASSPHRASE": shell.passphrase,
        "PYTHONUNBUFFERED": "1",
    }
    pipe = subprocess.PIPE
    return InteractiveCommand(
        start_program(
            (*PROGRAM, *arguments),
            env=environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
    )


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "relay", ("relay", "run"))
    server.start()
    yield server
    server.stop()


def start_comparison(laptop: Shell, phone: Shell) -> tuple[InteractiveCommand, InteractiveCommand]:
    """Start linking on both devices until both show the same pictures; return both commands."""
    old = start_interactive(laptop, "device", "add", "--json")
    code = str(old.read_json()["code"])
    new = start_interactive(phone, "setup", "--link", code, "--as", "phone", "--json")
    assert old.read_json() == new.read_json()
    return old, new


def start_linking(
    relay: Server, tmp_path: Path
) -> tuple[Shell, Shell, InteractiveCommand, InteractiveCommand]:
    """Set up Ana's laptop, and start to link a phone; return both devices and both commands."""
    laptop, phone = Shell("ana", tmp_path / "laptop"), Shell("phone", tmp_path / "phone")
    laptop.run("setup", "--name", "Ana", "--relay", relay.url)
    return laptop, phone, *start_comparison(laptop, phone)


def link_devices(laptop: Shell, phone: Shell, *answers: str) -> tuple[CommandResult, CommandResult]:
    old, new = start_comparison(laptop, phone)
    for one, answer in zip((old, new), answers, strict=True):
        one.type_line(answer)
    return old.wait_for_end(), new.wait_for_end()


@pytest.mark.threat("stolen-device")
def test_a_linked_and_lost_device_cannot_be_unlocked_again(relay: Server, tmp_path: Path) -> None:
    laptop, ben = Shell("ana", tmp_path / "laptop"), Shell("ben", tmp_path / "ben")
    phone = Shell("phone", tmp_path / "phone")
    for one in (laptop, ben):
        one.run("setup", "--name", one.name.title(), "--relay", relay.url)
    laptop.add_contact(ben)
    old, new = link_devices(laptop, phone, "yes", "yes")
    assert (old.status, new.status) == (0, 0), (old.err, new.err)
    people = phone.run("person", "list", "--json").answer["people"]
    assert [(one["name"], one["trust"]) for one in people] == [("ben", "by link")]
    ben.run("inbox")
    assert {one["name"] for one in laptop.run("device", "list", "--json").answer["devices"]} == {
        "device 1",
        "phone",
    }
    copied_folder = Path(shutil.copytree(phone.home, tmp_path / "thief"))

    revoked = laptop.run("device", "revoke", "phone", "--lost", "--json").answer
    assert revoked["shut"]
    assert len(revoked["to_do"]) > 4
    thief = Shell("thief", copied_folder, passphrase=phone.passphrase)
    for one in (phone, thief):
        for _ in range(2):
            assert b"no longer be unlocked with any passphrase" in one.run("inbox", status=3).err
    (left,) = laptop.run("device", "list", "--json").answer["devices"]
    assert left["name"] == "device 1"
    result = ben.run("inbox").err
    assert re.search(rb"devices changed", result)


def test_two_devices_move_to_another_relay_together(relay: Server, tmp_path: Path) -> None:
    laptop, ben = Shell("ana", tmp_path / "laptop"), Shell("ben", tmp_path / "ben")
    phone, new = Shell("phone", tmp_path / "phone"), Server(tmp_path / "new", ("relay", "run"))
    for one in (laptop, ben):
        one.run("setup", "--name", one.name.title(), "--relay", relay.url)
    laptop.add_contact(ben)
    assert [done.status for done in link_devices(laptop, phone, "yes", "yes")] == [0, 0]
    new.start()
    try:
        moving = ("device", "move", "--relay", new.url)
        waits = laptop.run(*moving, status=6)
        assert b"are not ready: phone" in b" ".join(waits.err.split())
        assert f"entrenous device move --relay {new.url}" in phone.run("inbox").err.decode()
        listed = laptop.run("device", "list", "--json").answer
        assert (listed["moves_to"], listed["not_ready"]) == (new.url, [])
        calls_off = laptop.run("device", "move", "--relay", relay.url)
        assert f"The move to {new.url} is cancelled".encode() in calls_off.out
        assert laptop.run("device", "list", "--json").answer["moves_to"] is None
        assert b"This device is at" in laptop.run(*moving).out
        assert b"it followed another device of yours" in phone.run("inbox").err
        ben.run("inbox")
        laptop.run("inbox")
        phone.run("device", "recovery", "--out", str(tmp_path / "sheet"))
        relay.stop()
        soon = 0.2  # the old relay is stopped, so a longer wait for its answer is useless
        for one in (laptop, phone):
            listed = one.run("device", "list", "--json", patience_s=soon).answer
            assert len(listed["devices"]) == 2
        laptop.run("device", "list", patience_s=soon)
        revoked = laptop.run(
            "device", "revoke", "phone", "--lost", "--json", patience_s=soon
        ).answer
        assert revoked["shut"]
        assert (
            b"no longer be unlocked with any passphrase"
            in phone.run("inbox", status=3, patience_s=soon).err
        )
    finally:
        new.stop()


@pytest.mark.parametrize(
    "ending_signal",
    [pytest.param(signal.SIGHUP, marks=pytest.mark.nightly), signal.SIGTERM, signal.SIGKILL],
)
def test_interrupted_linking_leaves_no_device_and_can_be_repeated(
    relay: Server, tmp_path: Path, ending_signal: signal.Signals
) -> None:
    laptop, phone, old, new = start_linking(relay, tmp_path)
    new.process.send_signal(ending_signal)
    new.wait_for_end()
    old.type_line("no")
    old.wait_for_end()
    assert b"There is no Entrenous device" in phone.run("inbox", status=4).err
    assert (phone.home / "vault.db").exists() == (ending_signal is signal.SIGKILL)
    both = link_devices(laptop, phone, "yes", "yes")
    assert [done.status for done in both] == [0, 0], [done.err for done in both]
    assert len(phone.run("device", "list", "--json").answer["devices"]) == 2


@pytest.mark.threat("linking-phish")
def test_answering_no_on_both_devices_links_no_device(relay: Server, tmp_path: Path) -> None:
    laptop, phone = Shell("ana", tmp_path / "laptop"), Shell("phone", tmp_path / "phone")
    laptop.run("setup", "--name", "Ana", "--relay", relay.url)
    old, new = link_devices(laptop, phone, "no", "no")
    assert b"different pictures" in old.err
    assert b"different pictures" in new.err
    assert not (phone.home / "vault.json").exists()
    (only,) = laptop.run("device", "list", "--json").answer["devices"]
    assert only["this"]


@pytest.mark.threat("linking-phish")
def test_late_no_on_the_new_device_is_reported_on_the_old_one(
    relay: Server, tmp_path: Path
) -> None:
    *_, old, new = start_linking(relay, tmp_path)
    old.type_line("yes")
    assert old.process.stderr is not None
    assert any("on your list now" in line for line in old.process.stderr)
    new.type_line("no")
    assert b"revoke NAME --lost" in new.wait_for_end().err
    result = old.wait_for_end()
    assert b'You answered "yes" here' in result.err
    assert not json.loads(result.out)["answered"]


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize("refusing_device", ["laptop", "phone"])
def test_first_no_ends_linking_for_both_devices(
    relay: Server, tmp_path: Path, refusing_device: str
) -> None:
    """Neither command waits for the ten minutes after which linking times out."""
    laptop, phone, old, new = start_linking(relay, tmp_path)
    first, second = (old, new) if refusing_device == "laptop" else (new, old)
    first.type_line("no")
    assert b"different pictures" in first.wait_for_end().err
    second.type_line("yes")
    assert b"your other device" in second.wait_for_end().err.lower()
    assert not (phone.home / "vault.json").exists()
    (only,) = laptop.run("device", "list", "--json").answer["devices"]
    assert only["this"]
