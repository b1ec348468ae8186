"""Tests of setup, contacts, circles, invites, receipts and key comparison at the command line."""

import cv2
import pytest
import zxingcpp

from tests.send.commands.test_letters import CommandLine
from tests.send.send_device import OTHER_RELAY_URL

pytestmark = pytest.mark.slow


def test_circle_is_created_used_and_deleted(cli: CommandLine) -> None:
    circle = cli.run_json("ana", "circle", "add", "family", "--person", "ben")
    assert circle == {"schema": "entrenous/circle/1", "name": "family", "people": ["ben"]}
    sending = ("send", "beach.jpg", "--to", "family")
    for words in ((), ("--yes",), ("--yes", "--confirm", "y")):
        stopped = cli.run("ana", *sending, *words)
        assert stopped.status == 3, words
    assert "--confirm family" in cli.run("ana", *sending, "--yes").err
    sent = cli.run_json("ana", *sending, "--confirm", "family")
    assert sent["copies"] == [{"to": "ben", "devices": 1}]
    assert cli.run_json("ana", "send", "beach.jpg", "--in", sent["message"])["copies"]
    assert cli.run_json("ana", "circle", "list")["circles"] == [
        {"name": "family", "people": ["ben"]}
    ]
    assert cli.run("ana", "circle", "remove", "family", "--person", "ben").status == 3
    assert cli.run_json("ana", "circle", "remove", "family")["people"] == []
    assert "None yet" in cli.run("ana", "circle", "list").out
    unknown = cli.run("ana", "circle", "remove", "family")
    assert (unknown.status, "no circle called family" in unknown.err) == (4, True)


def test_person_is_renamed_blocked_and_unblocked(cli: CommandLine) -> None:
    assert cli.run("ana", "person", "rename", "ben", "Ben Okri").status == 0
    assert "blocked" in cli.run("ana", "person", "block", "ben okri").out
    (shown,) = cli.run_json("ana", "person", "list")["people"]
    keys = cli.run_json("ben", "device", "list")["keys"]
    assert shown == {
        "name": "Ben Okri",
        "trust": "by link",
        "keys": keys,
        "receipts": False,
        "blocked": True,
    }
    assert f"Your keys: {keys[:4]} {keys[4:8]} " in cli.run("ben", "device", "list").out
    refused = cli.run("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")
    assert (refused.status, "You blocked Ben Okri" in refused.err) == (3, True)
    assert "(blocked, by link, keys not compared yet)" in cli.run("ana", "person", "list").out
    assert cli.run("ana", "person", "unblock", "Ben Okri").status == 0
    assert cli.run_json("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")


def test_sent_and_recall_show_current_names(cli: CommandLine) -> None:
    for who in ("caro", "dora"):
        cli.set_up_person(who, OTHER_RELAY_URL)
        cli.add_contact("ana", who)
    to = [word for who in ("ben", "caro", "dora") for word in ("--to", who, "--confirm", who)]
    name = cli.run_json("ana", "send", "--text", "at six", *to, "--undo", "0")["message"]
    cli.run("ana", "person", "rename", "ben", "benjamin")
    cli.run("ana", "person", "rename", "caro", "ben")
    (message,) = cli.run_json("ana", "sent")["messages"]
    assert {copy["to"] for copy in message["copies"]} == {"benjamin", "ben", "dora"}
    recalled = cli.run_json("ana", "recall", name)["copies"]
    assert {copy["to"] for copy in recalled} == {"benjamin", "ben", "dora"}


def test_blocked_circle_member_is_named(cli: CommandLine) -> None:
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    cli.run_json("ana", "circle", "add", "all friends", "--person", "ben", "--person", "caro")
    assert "--to 'all friends'" in cli.run("ana", "circle", "add", "all friends").out
    assert cli.run("ana", "person", "block", "caro").status == 0
    sent = cli.run(*("ana", "send", "beach.jpg", "--to", "all friends", "--confirm", "all friends"))
    assert (sent.status, "caro is in the circle too, but you blocked caro" in sent.err) == (0, True)
    forgotten = cli.run("ana", "person", "forget", "caro")
    assert "They are no longer in your circle all friends." in forgotten.out


def test_invite_states_its_limits_and_last_use_is_reported(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = cli.run("ben", "invite").out
    assert "This link is for one person." in output
    assert "valid for 30 days" in output
    assert "This link is for eva." in cli.run("ben", "invite", "--for", "eva").out
    assert cli.run("ben", "invite", "--for", "ana").status == 3
    assert cli.run("ben", "invite", "--for", "eva", "--uses", "2").status == 2
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    invite = cli.run_json("ben", "invite", "--uses", "2")
    assert (invite["for"], invite["uses"]) == (None, 2)
    link = invite["link"]
    for who, last in (("caro", False), ("dora", True)):
        cli.set_up_person(who)
        added = cli.run(who, "person", "add", link, "--as", "Ben Okri")
        assert "next: entrenous send PHOTO --to 'Ben Okri'" in added.out
        assert ("used up the messages that this link allows" in added.err) is last


def test_refused_setup_leaves_the_folder_unchanged(cli: CommandLine) -> None:
    setup = ("setup", "--name", "-x", "--offline")
    assert cli.run("dora", *setup).status == 3
    assert not (cli.folder / "dora").exists()
    (cli.folder / "dora").mkdir()
    (cli.folder / "dora" / "mine").write_text("")
    assert cli.run("dora", *setup).status == 3
    assert [one.name for one in (cli.folder / "dora").iterdir()] == ["mine"]


def test_comparing_seven_pictures_verifies_both_people(cli: CommandLine) -> None:
    compare = ("person", "verify")
    assert "Asked." in cli.run("ana", *compare, "ben", "--sas").out
    assert "Answered." in cli.run("ben", *compare, "ana", "--sas").out
    for one, name in (("ana", "ben"), ("ben", "ana")):  # neither has seen a picture yet
        unseen = cli.run(one, *compare, name, "--sas", "--same")
        assert (unseen.status, unseen.out) == (3, "")
        assert f"Show them first: entrenous person verify {name} --sas" in unseen.err
    ana_sees = cli.run("ana", *compare, "ben", "--sas").out
    ben_sees = cli.run("ben", *compare, "ana", "--sas").out
    assert ana_sees == ben_sees
    assert "or in numbers: " in ana_sees
    early = cli.run("ben", *compare, "ana", "--sas", "--same").out
    assert "as soon as ana has said so too" in early
    assert "are compared" in cli.run("ana", *compare, "ben", "--sas", "--same").out
    (shown,) = cli.run_json("ben", "person", "list")["people"]
    assert (shown["trust"], shown["receipts"]) == ("compared", True)
    assert cli.run("ben", *compare, "ana", "--differs").status == 2
    nothing = cli.run("ben", *compare, "ana", "--sas", "--differs")
    assert (nothing.status, "No comparison with ana" in nothing.err) == (4, True)


def test_invite_is_shown_as_qr_picture_and_text(cli: CommandLine) -> None:
    link = cli.run_json("ana", "invite", "--qr", "invite.png")["link"]
    picture = cv2.imread(str(cli.folder / "invite.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    found = zxingcpp.read_barcode(picture)
    assert found is not None
    assert found.text == link
    assert "█▀" in cli.run("ana", "invite", "--qr", "-").out


@pytest.mark.threat("link-in-other-hands")
def test_first_and_later_users_of_a_link_are_reported(
    cli: CommandLine,
) -> None:
    link = cli.run_json("ben", "invite", "--for", "dora")["link"]
    for who in ("mallory", "dora"):
        cli.set_up_person(who)
        added = cli.run(who, "person", "add", link, "--as", "ben").out
        assert "ben is added, and known by link" in added
    notices = cli.run("ben", "inbox").err
    joined, refused = notices.splitlines()
    assert joined.startswith('Somebody who calls themselves "mallory" joined by the link that')
    assert "you made for dora on " in joined
    assert "UTC, with a device set up on " in joined
    assert "You call them dora, and know them by link only" in joined
    assert refused.startswith('Somebody who calls themselves "dora" came by the link that you')
    assert "was not added: the link had been used already, by dora." in refused
    assert "dora counts as unknown" in refused
    assert cli.run("ben", "inbox").err == "", "the notices are printed only once"
    listed = cli.run("ben", "person", "list").out
    assert "dora  (unknown: compare keys before you send anything private)" in listed
    late = cli.run("dora", "inbox").err
    assert "ben's link had been used before you used it" in late
    assert "Nobody yet." in cli.run("dora", "person", "list").out
    stopped = cli.run("ben", "send", "beach.jpg", "--to", "dora")
    assert (stopped.status, "dora's keys are unknown" in stopped.err) == (3, True)


def test_scanning_qr_codes_verifies_both_people(cli: CommandLine) -> None:
    """Each person scans the other person's QR code, read from the generated picture."""
    assert cli.run("ana", "person", "verify", "ben", "--qr", "anas.png").status == 0
    assert cli.run("ben", "person", "verify", "ana", "--qr", "bens.png").status == 0
    assert "\u2588\u2580" in cli.run("ana", "person", "verify", "ben", "--qr", "-").out
    own = cli.run("ana", "person", "verify", "ben", "--scan", "anas.png")
    assert (own.status, "your own device shows" in own.err) == (3, True)
    for who, other, code in (("ana", "ben", "bens.png"), ("ben", "ana", "anas.png")):
        noted = cli.run(who, "person", "verify", other, "--scan", code)
        assert (noted.status, "keys are compared on this device" in noted.out) == (0, True)
        people = cli.run_json(who, "person", "list")["people"]
        assert next(one for one in people if one["name"] == other)["trust"] == "compared"
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    wrong = cli.run("ana", "person", "verify", "caro", "--scan", "bens.png")
    assert (wrong.status, "not the one that caro's device shows" in wrong.err) == (5, True)
    none = cli.run("ana", "person", "verify", "ben", "--scan", "beach.jpg")
    assert (none.status, "was not found in this picture" in none.err) == (7, True)
    both = cli.run("ana", "person", "verify", "ben", "--scan", "bens.png", "--same")
    assert both.status == 2


@pytest.mark.threat("receipt-probing")
def test_receipts_for_contacts_by_link_stay_off_without_consent(
    cli: CommandLine,
) -> None:
    """Without a terminal, receipts stay off, and a hint says once how to allow them."""
    hints = list[str]()
    for number in range(2):
        sent = cli.run_json("ana", "send", "--text", "Hello", "--to", "ben", "--confirm", "ben")
        cli.run_json("ben", "inbox")
        out = ("--out", f"got {number}")
        hints.append(cli.run("ben", "open", sent["message"], *out).err)
    assert "To let that program be told: entrenous person receipts ana --on" in hints[0]
    assert "receipts" not in hints[1]

    def has_receipts() -> bool:
        people = cli.run_json("ben", "person", "list")["people"]
        return bool(next(one for one in people if one["name"] == "ana")["receipts"])

    assert not has_receipts()
    assert cli.run("ben", "person", "receipts", "ana", "--on").status == 0
    assert has_receipts()
    assert "ana is not told" in cli.run("ben", "person", "receipts", "ana", "--off").out
    assert not has_receipts()


@pytest.mark.threat("receipt-probing")
@pytest.mark.parametrize(("typed", "answer"), [("yes", True), ("Sí", True), ("", False)])
def test_receipt_consent_is_asked_once_at_a_terminal(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, typed: str, *, answer: bool
) -> None:
    questions = list[str]()

    def prompt(question: str, **_: object) -> str:
        questions.append(question)
        return typed

    monkeypatch.setattr("typer.prompt", prompt)
    for number in range(2):
        sent = cli.run_json("ana", "send", "--text", "Hello", "--to", "ben", "--confirm", "ben")
        cli.run_json("ben", "inbox")
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        cli.run("ben", "open", sent["message"], "--out", f"got {number}")
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert questions == ["Tell ana when you open what they send? [y/N]"]
    people = cli.run_json("ben", "person", "list")["people"]
    assert next(one for one in people if one["name"] == "ana")["receipts"] is answer
