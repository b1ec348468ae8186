"""A command line for tests, and tests of refusals, interruptions, limits and output."""

import io
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import pytest

import entrenous.device.open_device as open_device_module
import entrenous.send.send as send_verb
from entrenous.__main__ import FEATURE_FUNCTIONS
from entrenous.base.environment import SystemClock
from entrenous.base.errors import NotUnderstood, TooMany, UsedUp, WrongToken
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.cli import run
from entrenous.device.client import http_courier
from entrenous.device.device import Courier
from entrenous.media.copies.copy_check import check_copy
from entrenous.media.copies.copy_checker import CopyChecker
from entrenous.media.picture_reader import read_picture
from entrenous.send.commands import send
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.guard import inspect_draft
from entrenous.terminal.output import hint, print_line
from tests.deterministic import SeededRandomSource
from tests.in_memory.courier import memory_courier
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL
from tests.vaults import make_vaults_open_quickly
from tests.village.malicious_relay import HonestCall, MaliciousCourier, error_trick
from tests.village.relay import copy_relay, relay_with_courier
from tests.village.world import photo

pytestmark = pytest.mark.slow

PASSPHRASE = "four or five unrelated words"


class InProcessCopyChecker(CopyChecker):
    """A copy checker that decodes in the process of the test."""

    def check(self, media_type: str, size: int, fill: Callable[[BinaryIO], None]) -> None:
        file = io.BytesIO()
        fill(file)
        assert len(file.getvalue()) == size
        for _ in check_copy(file.getvalue(), media_type):
            pass


@dataclass
class CommandResult:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str


def _make_relays() -> dict[str, Relay]:
    return {
        url: relay_with_courier(url, SystemClock(), SeededRandomSource(url))[0]
        for url in (RELAY_URL, OTHER_RELAY_URL)
    }


@cache
def _beach_photo() -> bytes:
    return photo(width_px=100)


@dataclass
class CommandLine:
    """Runs people's commands on real vaults, with two relays in memory that can misbehave."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    relays: dict[str, Relay] = field(default_factory=_make_relays)

    def __post_init__(self) -> None:
        self.apps: dict[str, Any] = {url: relay_app(one) for url, one in self.relays.items()}
        self.courier = MaliciousCourier(memory_courier(self.apps))
        (self.folder / "beach.jpg").write_bytes(_beach_photo())
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
        make_vaults_open_quickly(self.monkeypatch)
        self.monkeypatch.setattr(http_courier, "HttpCourier", self._memory_courier)
        self.monkeypatch.setattr(open_device_module, "decode_picture_untrusted", read_picture)
        self.monkeypatch.setattr(open_device_module, "CopyChecker", InProcessCopyChecker)

    def copy_to(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> "CommandLine":
        """Copy the folder and the relays; return a command line that uses the copies."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        relays = {
            url: copy_relay(relay, relay.clock, replace(relay.random_source))
            for url, relay in self.relays.items()
            if isinstance(relay.random_source, SeededRandomSource)
        }
        return CommandLine(folder, monkeypatch, relays)

    def _memory_courier(self, *_: object, **__: object) -> Courier:
        return self.courier

    def run(self, person: str, *arguments: str) -> CommandResult:
        self.monkeypatch.setenv("ENTRENOUS_HOME", str(self.folder / person))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = run(list(arguments), FEATURE_FUNCTIONS)
        return CommandResult(status, out.getvalue(), err.getvalue())

    def run_json(self, person: str, *arguments: str) -> Any:
        result = self.run(person, *arguments, "--json")
        assert result.status == 0, result
        return json.loads(result.out)

    def set_up_person(self, person: str, relay: str = RELAY_URL) -> None:
        self.run_json(person, "setup", "--name", person, "--relay", relay)

    def add_contact(self, person: str, contact: str) -> None:
        link = self.run_json(contact, "invite")["link"]
        self.run_json(person, "person", "add", link, "--as", contact)
        for name in (contact, person):
            self.run_json(name, "inbox")


@pytest.fixture
def cli(
    cli_of_three: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """Return a command line for Ana and her contacts: Ben at her relay, and Caro at another."""
    yield cli_of_three.copy_to(tmp_path, monkeypatch)
    monkeypatch.undo()


SEND_TO_BEN = ("send", "beach.jpg", "--to", "ben", "--confirm", "ben")


def test_send_inspects_once_and_flushes_the_outbox_before_and_after(
    cli: CommandLine,
) -> None:
    order = list[str]()
    watched = {
        inspect_draft.__code__: "guard",
        flush_outbox.__code__: "outbox",
        fetch_messages.__code__: "mail",
    }

    def record_call(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in watched:
            order.append(watched[frame.f_code])

    sys.setprofile(record_call)
    try:
        result = cli.run("ana", *SEND_TO_BEN)
    finally:
        sys.setprofile(None)
    assert result.status == 0
    assert order == ["mail", "outbox", "guard", "outbox"]


@pytest.mark.parametrize("error", [NotUnderstood(), TooMany(retry_after_s=9)], ids=type)
def test_refusal_by_another_relay_stops_no_other_message(
    cli: CommandLine, error: Exception
) -> None:
    """While Caro's relay refuses a message, Ana can still write to Ben and list messages."""

    def refuse_at_caros_relay(honest: HonestCall, url: str, *arguments: Any) -> Any:
        if url == OTHER_RELAY_URL:
            raise error
        return honest(url, *arguments)

    with cli.courier.replace_calls(upload_blob=refuse_at_caros_relay):
        waits = cli.run("ana", "send", "beach.jpg", "--to", "caro", "--confirm", "caro")
        assert waits.status == 6
        result = cli.run("ana", *SEND_TO_BEN, "--json")
        assert (result.status, json.loads(result.out)["copies"]) == (
            0,
            [{"to": "ben", "devices": 1}],
        )
        assert result.err.count("\n") == 1
        for quiet in ("inbox", "sent"):
            assert cli.run("ana", quiet, "--json").status == 0
    assert cli.run("ana", "send", "--resume").status == 0


def test_undelivered_copies_are_reported(cli: CommandLine) -> None:
    def refuse_at_bens_relay(honest: HonestCall, url: str, *arguments: Any) -> Any:
        if url == RELAY_URL:
            raise WrongToken
        return honest(url, *arguments)

    both = ("--to", "caro", "--confirm", "caro")
    with cli.courier.replace_calls(post=refuse_at_bens_relay):
        result = cli.run("ana", *SEND_TO_BEN, *both)
    assert (result.status, result.out) == (3, "")
    (message,) = cli.run_json("ana", "sent")["messages"]
    assert f"Message {message['message']} cannot be sent to ben." in result.err
    assert "Already on its way to: caro." in result.err
    states = {copy["to"]: copy["state"] for copy in message["copies"]}
    assert states == {"ben": "refused", "caro": "waiting"}
    assert cli.run("ana", "recall", message["message"]).status == 0
    (message,) = cli.run_json("ana", "sent")["messages"]
    assert {copy["state"] for copy in message["copies"]} == {"taken back"}


def test_interrupted_send_sends_nothing_later(cli: CommandLine) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with cli.courier.replace_calls(upload_blob=interrupt):
        result = cli.run("ana", *SEND_TO_BEN)
    assert (result.status, result.out, result.err) == (
        130,
        "",
        "You stopped this message in time. Nothing was sent to anybody.\n",
    )
    assert cli.run_json("ana", "sent")["messages"] == []
    cli.run_json("ana", "inbox")
    assert cli.run_json("ben", "inbox")["messages"] == []
    with cli.courier.replace_calls(post=interrupt):
        result = cli.run("ana", *SEND_TO_BEN)
    assert (result.status, result.out) == (130, "")
    (message,) = cli.run_json("ana", "sent")["messages"]
    assert message["copies"] == [
        {
            "to": "ben",
            "state": "not confirmed yet",
            "at": None,
            "at_precision_s": None,
            "signed": False,
        }
    ]
    assert f"To take it back: entrenous recall {message['message']}" in result.err
    assert cli.run_json("ben", "inbox")["messages"] == []  # the command "sent" posted nothing


def test_undo_reports_that_nothing_was_sent(cli: CommandLine) -> None:
    def make_interrupted_wait(*_: Any) -> Any:
        return lambda _until: signal.raise_signal(signal.SIGINT)

    cli.monkeypatch.setattr(send, "make_undo_wait", make_interrupted_wait)
    result = cli.run("ana", *SEND_TO_BEN, "--undo", "10")
    assert (result.status, result.out) == (130, "")
    assert result.err == "You stopped this message in time. Nothing was sent to anybody.\n"
    assert cli.run_json("ana", "sent")["messages"] == []
    assert cli.run_json("ben", "inbox")["messages"] == []


def test_interrupt_after_sending_does_not_report_undo(cli: CommandLine) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    cli.monkeypatch.setattr(send_verb, "PostedMessage", interrupt)
    result = cli.run("ana", *SEND_TO_BEN)
    assert (result.status, result.out) == (130, "")
    assert "nothing was sent" not in result.err
    assert len(cli.run_json("ben", "inbox")["messages"]) == 1


def test_undecryptable_letter_is_reported_once(cli: CommandLine) -> None:
    cli.run_json("ana", *SEND_TO_BEN)

    def make_undecryptable(honest: HonestCall, *arguments: Any) -> Any:
        page = honest(*arguments)
        for waiting in page:
            object.__setattr__(waiting, "sealed", b"nothing like a letter")
        return page

    with cli.courier.replace_calls(waiting_envelopes=make_undecryptable):
        result = cli.run("ben", "inbox")
    assert "1 letter could not be opened" in result.err
    assert cli.run("ben", "inbox").err == ""


def test_repeated_recipient_names_are_merged_ignoring_case(cli: CommandLine) -> None:
    sent = cli.run_json(
        "ana", "send", "beach.jpg", "--to", "ben", "--to", "Ben", "--confirm", "BEN"
    )
    assert sent["copies"] == [{"to": "ben", "devices": 1}]


@pytest.mark.parametrize(
    "more", [("--caption", "c" * 4097), ("--caption", "\x1b[2J"), ("beach.jpg",) * 64]
)
def test_oversized_or_invalid_message_is_refused(cli: CommandLine, more: tuple[str, ...]) -> None:
    result = cli.run("ana", *SEND_TO_BEN, *more)
    assert (result.status, result.out) == (3, "")
    assert "Nothing was sent." in result.err
    assert cli.run_json("ana", "sent")["messages"] == []


def test_used_up_message_is_expired_in_json(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TO_BEN)["message"]
    with cli.courier.replace_calls(open_share=error_trick(UsedUp())):
        assert cli.run("ben", "open", name).status == 3
    assert cli.run_json("ben", "inbox")["messages"][0]["state"] == "expired"
    assert "used up" in cli.run("ben", "inbox").out


def test_forgetting_a_person_reports_its_effects(cli: CommandLine) -> None:
    result = cli.run("ben", "person", "forget", "ANA")
    assert result.status == 0
    assert "ana is forgotten here; from now on, your relay accepts nothing more" in result.out
    assert "link" in result.out
    assert cli.run("ana", *SEND_TO_BEN).status == 3
    down = error_trick(TooMany(retry_after_s=9))
    with cli.courier.replace_calls(change_tokens=down):
        result = cli.run("caro", "person", "forget", "ana")
    assert "as soon as your relay has answered" in result.out


@pytest.mark.threat("terminal-writing")
@pytest.mark.parametrize("control", ["\x1b[2J", "\x9b2J", "\r", "\x00", "\u202e", "\ud83d"])
def test_control_characters_are_replaced(control: str, capsys: pytest.CaptureFixture[str]) -> None:
    for write in (print_line, hint):
        write(f"for{control} you,\nZo\u00eb \u200d!")
    out, err = capsys.readouterr()
    for text in (out, err):
        assert control[0] not in text
        assert text.startswith("for\ufffd")
        assert text.endswith(" you,\nZo\u00eb \u200d!\n")
