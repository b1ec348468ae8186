"""``entrenous inbox`` and ``entrenous open`` show and store the right parts of a message."""

import hashlib
from pathlib import Path

import pytest

from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.commands.catch_up import MESSAGES_DISCLAIMER
from entrenous.send.commands.inbox import message_file_path
from tests.send.commands.test_letters import SEND, Street

pytestmark = pytest.mark.slow

TO_BEN = ("--to", "ben", "--confirm", "ben", "--undo", "0")
ONCE = ("--once", "--allow-export")


@pytest.fixture
def street(street: Street, monkeypatch: pytest.MonkeyPatch) -> Street:
    """Ana and Ben, without an undo window."""
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    return street


def sealed_files(street: Street, who: str) -> int:
    return len(list((street.folder / who / "files").iterdir()))


def test_both_sides_see_a_text_its_reply_and_reaction(street: Street) -> None:
    first = street.does("ana", "send", "--text", "Two lines\nof words", *TO_BEN)["message"]
    listed = street.types("ben", "inbox").out
    assert listed == f"{first}  from ana, waiting\n{MESSAGES_DISCLAIMER}\n"  # no content yet
    result = street.types("ben", "open", first)
    assert result.out == "Two lines\nof words\n"
    assert result.err.startswith("You know ana by a link only, ")  # shown only once
    assert street.types("ben", "open", first).err == ""
    assert street.types("ben", "react", first, "!!").status == 0
    answer = street.does("ben", "send", "--text", "yes", "--reply", first, "--confirm", "ana")
    lines = street.types("ben", "inbox").out.splitlines()
    message = [f"{first}  from ana, opened", "    Two lines", "    of words", "    !! you"]
    assert lines == [*message, MESSAGES_DISCLAIMER]

    opened = street.does("ana", "open", answer["message"])
    assert opened == {
        "schema": "entrenous/open/1",
        "files": [],
        "text": "yes",
        "kept": True,
    }
    (shown,) = street.does("ana", "inbox")["messages"]
    assert (shown["text"], shown["reply"], shown["state"]) == ("yes", first, "opened")
    assert f"    answers {first}" in street.types("ana", "inbox").out


def test_view_once_message_is_exported_once_and_not_kept(street: Street) -> None:
    name = street.does("ana", *SEND, *ONCE, "--caption", "only you")["message"]
    (line, _) = street.types("ben", "inbox").out.splitlines()
    assert line == f"{name}  from ana, waiting, opens once"
    before = sealed_files(street, "ben")
    result = street.types("ben", "open", name, "--export", "--out", "one")
    assert result.out.splitlines() == ["only you", f"wrote one/{name}-1.jpg"]
    assert "nothing of it was kept in your vault" in result.err
    assert sealed_files(street, "ben") == before
    result = street.types("ben", "open", name, "--export", "--out", "two")
    assert (result.status, result.out, (street.folder / "two").exists()) == (3, "", False)
    assert "used up" in street.types("ben", "inbox").out
    assert street.does("ben", "inbox")["messages"][0]["text"] is None


@pytest.mark.parametrize("name", ["../7-lunar-otter", "/tmp/x", "a/b"])
def test_no_file_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    """Messages never get such names; this check is a second line of defence."""
    assert (
        message_file_path("7-lunar-otter", 1, "image/png", tmp_path)
        == tmp_path / "7-lunar-otter-1.png"
    )
    with pytest.raises(UnknownMessage):
        message_file_path(name, 1, "image/png", tmp_path)


def test_occupied_file_name_uses_up_no_view(street: Street) -> None:
    name = street.does("ana", *SEND, *ONCE)["message"]
    (street.folder / "one").mkdir()
    (street.folder / "one" / f"{name}-1.jpg").write_bytes(b"something else")
    result = street.types("ben", "open", name, "--export", "--out", "one")
    assert result.status != 0
    assert "one" in result.err
    (file,) = street.does("ben", "open", name, "--export", "--out", "two")["files"]
    assert (street.folder / file).read_bytes().startswith(b"\xff\xd8")
    assert [path.name for path in (street.folder / "one").iterdir()] == [f"{name}-1.jpg"]


def test_identical_existing_files_are_left_as_they_are(street: Street) -> None:
    name = street.does("ana", *SEND)["message"]
    written = {
        hashlib.sha256(
            (street.folder / street.does("ben", "open", name)["files"][0]).read_bytes()
        ).digest()
        for _ in range(2)
    }
    assert len(written) == 1


@pytest.mark.parametrize("command", ["inbox", "open", "send", "sent", "recall"])
def test_help_states_what_cryptography_guarantees(command: str, street: Street) -> None:
    help_text = " ".join(street.types("ben", command, "--help").out.split()).lower()
    assert "by cryptography" in help_text
    assert "first opening" in help_text.replace("│ ", "")
    assert "program" in help_text


def test_inbox_screens_state_what_cryptography_guarantees(street: Street) -> None:
    first, second = (street.types("ana", "send", "--text", text, *TO_BEN) for text in "ab")
    names = [result.out.split()[1] for result in (first, second)]
    inbox = street.types("ben", "inbox")
    street.types("ben", "open", names[0])
    sent = street.types("ana", "sent")
    unopened, opened = (street.types("ana", "recall", name) for name in reversed(names))
    for result in (first, inbox, sent):
        assert "first open" in result.out
        assert "by cryptography; after that, by" in result.out
        assert "program" in result.out
    assert "Nobody can open that copy any more" in unopened.out
    assert "app is asked to delete it. Nothing can force it to" in opened.out
    assert street.types("ana", "inbox").out == "Nothing here yet.\n"


def test_other_recipients_are_shown(street: Street) -> None:
    street.set_up_person("caro")
    street.add_contact("ana", "caro")
    both = ("--to", "ben", "--confirm", "ben", "--to", "caro", "--confirm", "caro")
    sent = street.types("ana", "send", "--text", "dinner?", *both)
    assert sent.out.startswith("sent ")
    assert " to ben, caro; take it back with: " in sent.out
    (name,) = [one["message"] for one in street.does("ben", "inbox")["messages"]]
    listed = street.types("ben", "inbox").out.splitlines()
    assert listed[:2] == [
        f"{name}  from ana, waiting",
        "    also to 1 person whom you do not know",
    ]
    (shown,) = street.does("ben", "inbox")["messages"]
    assert shown["also"] == ["somebody"]
    street.add_contact("ben", "caro")
    assert "    also to caro" in street.types("ben", "inbox").out.splitlines()
    assert "also to caro" in street.types("ben", "open", name).out.splitlines()
    yes = ("send", "--text", "yes", "--reply", name)
    asked = street.types("ben", *yes)
    assert asked.status == 3
    assert f"this message also goes to caro: according to ana, {name} went there too" in asked.err
    confirmed = street.types("ben", *yes, "--confirm", "ana", "--confirm", "caro")
    assert " to ana, caro; take it back with: " in confirmed.out


def test_equal_reactions_share_one_line(street: Street) -> None:
    street.set_up_person("caro")
    street.add_contact("ana", "caro")
    both = ("--to", "ben", "--confirm", "ben", "--to", "caro", "--confirm", "caro")
    name = street.does("ana", "send", "--text", "dinner?", *both)["message"]
    street.add_contact("ben", "caro")
    for who, sign in (("ben", "!"), ("caro", "!"), ("ana", "?")):
        if who != "ana":
            street.does(who, "inbox")
        street.does(who, "react", name, sign)
    street.does("ben", "inbox")
    listed = street.types("ben", "inbox").out.splitlines()
    assert {"    ! you, caro", "    ? ana"} <= set(listed)


def test_message_can_be_removed_unopened(street: Street) -> None:
    name = street.does("ana", "send", "--text", "hello", *TO_BEN)["message"]
    street.does("ben", "inbox")
    result = street.types("ben", "inbox", "--remove", name)
    assert result.out.startswith(f"{name} is removed from this device.")
    assert f"{name}  from ana, removed by you" in street.types("ben", "inbox").out
    assert street.types("ben", "open", name).status == 3
    (shown,) = street.does("ben", "inbox", "--remove", name)["messages"]
    assert (shown["state"], shown["why"]) == ("expired", "removed by you")
    assert street.types("ben", "inbox", "--remove", "7-no-message").status == 4


def test_sender_is_shown_by_the_current_or_else_the_stored_name(street: Street) -> None:
    """After the sender is forgotten, the name stored with the message is shown again."""
    name = street.does("ana", "send", "--text", "hello", *TO_BEN)["message"]
    street.does("ben", "inbox")
    assert street.types("ben", "person", "rename", "ana", "anna").status == 0
    assert street.types("ben", "inbox").out.startswith(f"{name}  from anna, waiting")
    assert street.types("ben", "person", "forget", "anna").status == 0
    (shown,) = street.does("ben", "inbox")["messages"]
    assert shown["from"] == "ana"
