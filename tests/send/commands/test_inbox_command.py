"""Tests of ``entrenous inbox`` and ``open``, and of what commands say about cryptography."""

import hashlib
from pathlib import Path

import pytest

from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.commands.catch_up import MESSAGES_DISCLAIMER
from entrenous.send.commands.inbox import message_file_path
from tests.send.commands.test_letters import SEND_TO_BEN, CommandLine

pytestmark = pytest.mark.slow

TO_BEN = ("--to", "ben", "--confirm", "ben", "--undo", "0")
VIEW_ONCE_OPTIONS = ("--once", "--allow-export")


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Disable the undo window."""
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    return cli


def sealed_file_count(cli: CommandLine, person: str) -> int:
    return len(list((cli.folder / person / "files").iterdir()))


def test_text_reply_and_reaction_are_listed(cli: CommandLine) -> None:
    first = cli.run_json("ana", "send", "--text", "Two lines\nof words", *TO_BEN)["message"]
    listed = cli.run("ben", "inbox").out
    assert listed == f"{first}  from ana, waiting\n{MESSAGES_DISCLAIMER}\n"  # no content yet
    result = cli.run("ben", "open", first)
    assert result.out == "Two lines\nof words\n"
    assert result.err.startswith("You know ana by a link only, ")  # this warning is shown only once
    assert cli.run("ben", "open", first).err == ""
    assert cli.run("ben", "react", first, "!!").status == 0
    answer = cli.run_json("ben", "send", "--text", "yes", "--reply", first, "--confirm", "ana")
    lines = cli.run("ben", "inbox").out.splitlines()
    message = [f"{first}  from ana, opened", "    Two lines", "    of words", "    !! you"]
    assert lines == [*message, MESSAGES_DISCLAIMER]

    opened = cli.run_json("ana", "open", answer["message"])
    assert opened == {
        "schema": "entrenous/open/1",
        "files": [],
        "text": "yes",
        "kept": True,
    }
    (shown,) = cli.run_json("ana", "inbox")["messages"]
    assert (shown["text"], shown["reply"], shown["state"]) == ("yes", first, "opened")
    assert f"    answers {first}" in cli.run("ana", "inbox").out


def test_view_once_message_is_exported_once_and_not_kept(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TO_BEN, *VIEW_ONCE_OPTIONS, "--caption", "only you")["message"]
    (line, _) = cli.run("ben", "inbox").out.splitlines()
    assert line == f"{name}  from ana, waiting, opens once"
    before = sealed_file_count(cli, "ben")
    result = cli.run("ben", "open", name, "--export", "--out", "one")
    assert result.out.splitlines() == ["only you", f"wrote one/{name}-1.jpg"]
    assert "nothing of it was kept in your vault" in result.err
    assert sealed_file_count(cli, "ben") == before
    result = cli.run("ben", "open", name, "--export", "--out", "two")
    assert (result.status, result.out, (cli.folder / "two").exists()) == (3, "", False)
    assert "used up" in cli.run("ben", "inbox").out
    assert cli.run_json("ben", "inbox")["messages"][0]["text"] is None


@pytest.mark.parametrize("name", ["../7-lunar-otter", "/tmp/x", "a/b"])
def test_message_name_with_a_slash_gives_no_file_path(name: str, tmp_path: Path) -> None:
    """No message gets such a name, but ``message_file_path`` refuses the name anyway."""
    assert (
        message_file_path("7-lunar-otter", 1, "image/png", tmp_path)
        == tmp_path / "7-lunar-otter-1.png"
    )
    with pytest.raises(UnknownMessage):
        message_file_path(name, 1, "image/png", tmp_path)


def test_occupied_file_name_uses_up_no_view(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TO_BEN, *VIEW_ONCE_OPTIONS)["message"]
    (cli.folder / "one").mkdir()
    (cli.folder / "one" / f"{name}-1.jpg").write_bytes(b"something else")
    result = cli.run("ben", "open", name, "--export", "--out", "one")
    assert result.status != 0
    assert "one" in result.err
    (file,) = cli.run_json("ben", "open", name, "--export", "--out", "two")["files"]
    assert (cli.folder / file).read_bytes().startswith(b"\xff\xd8")
    assert [path.name for path in (cli.folder / "one").iterdir()] == [f"{name}-1.jpg"]


def test_message_can_be_opened_twice_into_the_same_folder(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TO_BEN)["message"]
    written = {
        hashlib.sha256(
            (cli.folder / cli.run_json("ben", "open", name)["files"][0]).read_bytes()
        ).digest()
        for _ in range(2)
    }
    assert len(written) == 1


@pytest.mark.parametrize("command", ["inbox", "open", "send", "sent", "recall"])
def test_help_says_that_cryptography_protects_until_the_first_opening(
    command: str, cli: CommandLine
) -> None:
    help_text = " ".join(cli.run("ben", command, "--help").out.split()).lower()
    assert "by cryptography" in help_text
    assert "first opening" in help_text.replace("│ ", "")
    assert "program" in help_text


def test_output_says_what_cryptography_guarantees(cli: CommandLine) -> None:
    first, second = (cli.run("ana", "send", "--text", text, *TO_BEN) for text in "ab")
    names = [result.out.split()[1] for result in (first, second)]
    inbox = cli.run("ben", "inbox")
    cli.run("ben", "open", names[0])
    sent = cli.run("ana", "sent")
    unopened, opened = (cli.run("ana", "recall", name) for name in reversed(names))
    for result in (first, inbox, sent):
        assert "first open" in result.out
        assert "by cryptography; after that, by" in result.out
        assert "program" in result.out
    assert "Nobody can open that copy any more" in unopened.out
    assert "app is asked to delete it. Nothing can force it to" in opened.out
    assert cli.run("ana", "inbox").out == "Nothing here yet.\n"


def test_other_recipients_are_shown(cli: CommandLine) -> None:
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    both = ("--to", "ben", "--confirm", "ben", "--to", "caro", "--confirm", "caro")
    sent = cli.run("ana", "send", "--text", "dinner?", *both)
    assert sent.out.startswith("sent ")
    assert " to ben, caro; take it back with: " in sent.out
    (name,) = [one["message"] for one in cli.run_json("ben", "inbox")["messages"]]
    listed = cli.run("ben", "inbox").out.splitlines()
    assert listed[:2] == [
        f"{name}  from ana, waiting",
        "    also to 1 person whom you do not know",
    ]
    (shown,) = cli.run_json("ben", "inbox")["messages"]
    assert shown["also"] == ["somebody"]
    cli.add_contact("ben", "caro")
    assert "    also to caro" in cli.run("ben", "inbox").out.splitlines()
    assert "also to caro" in cli.run("ben", "open", name).out.splitlines()
    yes = ("send", "--text", "yes", "--reply", name)
    refused = cli.run("ben", *yes)
    assert refused.status == 3
    assert f"this message also goes to caro: according to ana, {name} went there too" in refused.err
    confirmed = cli.run("ben", *yes, "--confirm", "ana", "--confirm", "caro")
    assert " to ana, caro; take it back with: " in confirmed.out


def test_equal_reactions_share_one_line(cli: CommandLine) -> None:
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    both = ("--to", "ben", "--confirm", "ben", "--to", "caro", "--confirm", "caro")
    name = cli.run_json("ana", "send", "--text", "dinner?", *both)["message"]
    cli.add_contact("ben", "caro")
    for person, sign in (("ben", "!"), ("caro", "!"), ("ana", "?")):
        if person != "ana":
            cli.run_json(person, "inbox")
        cli.run_json(person, "react", name, sign)
    cli.run_json("ben", "inbox")
    listed = cli.run("ben", "inbox").out.splitlines()
    assert {"    ! you, caro", "    ? ana"} <= set(listed)


def test_message_can_be_removed_unopened(cli: CommandLine) -> None:
    name = cli.run_json("ana", "send", "--text", "hello", *TO_BEN)["message"]
    cli.run_json("ben", "inbox")
    result = cli.run("ben", "inbox", "--remove", name)
    assert result.out.startswith(f"{name} is removed from this device.")
    assert f"{name}  from ana, removed by you" in cli.run("ben", "inbox").out
    assert cli.run("ben", "open", name).status == 3
    (shown,) = cli.run_json("ben", "inbox", "--remove", name)["messages"]
    assert (shown["state"], shown["why"]) == ("expired", "removed by you")
    assert cli.run("ben", "inbox", "--remove", "7-no-message").status == 4


def test_sender_is_shown_by_the_current_or_else_the_stored_name(cli: CommandLine) -> None:
    """The name stored with the message is shown after Ben has forgotten the sender."""
    name = cli.run_json("ana", "send", "--text", "hello", *TO_BEN)["message"]
    cli.run_json("ben", "inbox")
    assert cli.run("ben", "person", "rename", "ana", "anna").status == 0
    assert cli.run("ben", "inbox").out.startswith(f"{name}  from anna, waiting")
    assert cli.run("ben", "person", "forget", "anna").status == 0
    (shown,) = cli.run_json("ben", "inbox")["messages"]
    assert shown["from"] == "ana"
