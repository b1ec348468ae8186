"""Tests of ``relay restore``: closed messages, advice to the operator, and a refused folder."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.base.errors import NoSuchEnvelope, TakenBack, UsedUp
from entrenous.cli import run
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.relays import SampleMessage, in_three_days
from tests.deterministic import SeededRandomSource
from tests.ready import start_program

pytestmark = pytest.mark.real


@contextmanager
def running_relay(folder: Path) -> Iterator[str]:
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--data", str(folder)]
    command = [*program, "--listen", "127.0.0.1:0", "--json"]
    with start_program(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def send_message(courier: HttpCourier, url: str, seed: int) -> SampleMessage:
    """Send a message to a new mailbox; return the sample message."""
    message = SampleMessage(
        until=in_three_days(),
        random_source=SeededRandomSource(calls=1000 * seed),
    )
    courier.create_mailbox(url, message.mailbox, message.owner)
    courier.register_token(url, message.mailbox, message.owner, message.send_token())
    courier.upload_blob(url, message.token, message.blob_deposit(), message.blob)
    courier.post(url, message.token, message.envelope(1))
    return message


def run_relay_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a relay command that must succeed; return its JSON output."""
    assert run(["relay", *arguments, "--json"], {}) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.threat("backups-revive")
def test_restore_does_not_revive_ended_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the backup, one message is recalled and one is used up. After the restore, neither of
    them can be opened.
    """
    live, saved, restored = (str(tmp_path / name) for name in ("live", "saved", "again"))
    with running_relay(Path(live)) as url, new_relay_client() as web:
        courier = HttpCourier(web)
        waiting, recalled, opened = (send_message(courier, url, number) for number in range(3))
        answer = run_relay_command(capsys, "backup", "--data", live, "--out", saved)
        assert (answer["blobs"], answer["missing"]) == (3, 0)
        courier.withdraw(url, recalled.id, recalled.withdraw)
        attempt = opened.new_attempt()
        courier.open_share(url, opened.id, opened.open, attempt)
        courier.finish_opening(url, opened.id, opened.open, attempt)
        for message, refusal in ((recalled, TakenBack), (opened, UsedUp)):
            with pytest.raises(refusal):
                courier.open_share(url, message.id, message.open, message.new_attempt())
    assert run_relay_command(capsys, "restore", saved, "--data", restored)["lost"] == 3
    with running_relay(Path(restored)) as url, new_relay_client() as web:
        courier = HttpCourier(web)
        assert httpx.get(f"{url}/v1/status", trust_env=False).json()["restored_at"] is not None
        for message in (waiting, recalled, opened):
            assert (
                courier.envelope_status(url, message.id, message.withdraw).state
                is EnvelopeState.LOST
            )
            with pytest.raises(NoSuchEnvelope):
                courier.open_share(url, message.id, message.open, message.new_attempt())
        send_message(courier, url, 7)
    assert run(["relay", "restore", saved, "--data", restored], {}) == 3
    assert "is not a new or empty folder" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--with-shares",)])
def test_restore_prints_instructions_for_the_operator(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live, saved, restored = (str(tmp_path / name) for name in ("live", "saved", "again"))
    with running_relay(Path(live)):
        run_relay_command(capsys, "backup", "--data", live, "--out", saved)
    assert run(["relay", "restore", saved, "--data", restored, *options], {}) == 0
    answer = " ".join(capsys.readouterr().out.split())
    assert "Tell your people to open Entrenous" in answer
    assert "within six hours" in answer
