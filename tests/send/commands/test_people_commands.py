"""Circles, invites, blocking, renaming and comparing keys at the command line."""

import cv2
import pytest
import zxingcpp

from tests.send.commands.test_letters import Street
from tests.send.send_device import THERE

pytestmark = pytest.mark.slow


def test_circle_is_created_used_and_deleted(street: Street) -> None:
    made = street.does("ana", "circle", "add", "family", "--person", "ben")
    assert made == {"schema": "entrenous/circle/1", "name": "family", "people": ["ben"]}
    sending = ("send", "beach.jpg", "--to", "family")
    for words in ((), ("--yes",), ("--yes", "--confirm", "y")):
        stopped = street.types("ana", *sending, *words)
        assert stopped.status == 3, words
    assert "--confirm family" in street.types("ana", *sending, "--yes").err
    sent = street.does("ana", *sending, "--confirm", "family")
    assert sent["copies"] == [{"to": "ben", "devices": 1}]
    assert street.does("ana", "send", "beach.jpg", "--in", sent["message"])["copies"]
    assert street.does("ana", "circle", "list")["circles"] == [
        {"name": "family", "people": ["ben"]}
    ]
    assert street.types("ana", "circle", "remove", "family", "--person", "ben").status == 3
    assert street.does("ana", "circle", "remove", "family")["people"] == []
    assert "None yet" in street.types("ana", "circle", "list").out
    unknown = street.types("ana", "circle", "remove", "family")
    assert (unknown.status, "no circle called family" in unknown.err) == (4, True)


def test_person_is_renamed_blocked_and_unblocked(street: Street) -> None:
    assert street.types("ana", "person", "rename", "ben", "Ben Okri").status == 0
    assert "blocked" in street.types("ana", "person", "block", "ben okri").out
    (shown,) = street.does("ana", "person", "list")["people"]
    keys = street.does("ben", "device", "list")["keys"]
    assert shown == {
        "name": "Ben Okri",
        "trust": "by link",
        "keys": keys,
        "receipts": False,
        "blocked": True,
    }
    assert f"Your keys: {keys[:4]} {keys[4:8]} " in street.types("ben", "device", "list").out
    refused = street.types("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")
    assert (refused.status, "You blocked Ben Okri" in refused.err) == (3, True)
    assert "(blocked, by link, keys not compared yet)" in street.types("ana", "person", "list").out
    assert street.types("ana", "person", "unblock", "Ben Okri").status == 0
    assert street.does("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")


def test_sent_and_recall_list_current_names(street: Street) -> None:
    for who in ("caro", "dora"):
        street.set_up_person(who, THERE)
        street.add_contact("ana", who)
    to = [word for who in ("ben", "caro", "dora") for word in ("--to", who, "--confirm", who)]
    name = street.does("ana", "send", "--text", "at six", *to, "--undo", "0")["message"]
    street.types("ana", "person", "rename", "ben", "benjamin")
    street.types("ana", "person", "rename", "caro", "ben")
    (message,) = street.does("ana", "sent")["messages"]
    assert {copy["to"] for copy in message["copies"]} == {"benjamin", "ben", "dora"}
    recalled = street.does("ana", "recall", name)["copies"]
    assert {copy["to"] for copy in recalled} == {"benjamin", "ben", "dora"}


def test_blocked_circle_member_is_named(street: Street) -> None:
    street.set_up_person("caro")
    street.add_contact("ana", "caro")
    street.does("ana", "circle", "add", "all friends", "--person", "ben", "--person", "caro")
    assert "--to 'all friends'" in street.types("ana", "circle", "add", "all friends").out
    assert street.types("ana", "person", "block", "caro").status == 0
    sent = street.types(
        *("ana", "send", "beach.jpg", "--to", "all friends", "--confirm", "all friends")
    )
    assert (sent.status, "caro is in the circle too, but you blocked caro" in sent.err) == (0, True)
    gone = street.types("ana", "person", "forget", "caro")
    assert "They are no longer in your circle all friends." in gone.out


def test_invite_states_its_limits_and_last_use_is_reported(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = street.types("ben", "invite").out
    assert "This link is for one person." in output
    assert "valid for 30 days" in output
    assert "This link is for eva." in street.types("ben", "invite", "--for", "eva").out
    assert street.types("ben", "invite", "--for", "ana").status == 3
    assert street.types("ben", "invite", "--for", "eva", "--uses", "2").status == 2
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    made = street.does("ben", "invite", "--uses", "2")
    assert (made["for"], made["uses"]) == (None, 2)
    link = made["link"]
    for who, last in (("caro", False), ("dora", True)):
        street.set_up_person(who)
        added = street.types(who, "person", "add", link, "--as", "Ben Okri")
        assert "next: entrenous send PHOTO --to 'Ben Okri'" in added.out
        assert ("used up the messages that this link allows" in added.err) is last


def test_refused_setup_leaves_nothing(street: Street) -> None:
    setup = ("setup", "--name", "-x", "--offline")
    assert street.types("dora", *setup).status == 3
    assert not (street.folder / "dora").exists()
    (street.folder / "dora").mkdir()
    (street.folder / "dora" / "mine").write_text("")
    assert street.types("dora", *setup).status == 3
    assert [one.name for one in (street.folder / "dora").iterdir()] == ["mine"]


def test_two_people_compare_seven_pictures(street: Street) -> None:
    compare = ("person", "verify")
    assert "Asked." in street.types("ana", *compare, "ben", "--sas").out
    assert "Answered." in street.types("ben", *compare, "ana", "--sas").out
    ana_sees = street.types("ana", *compare, "ben", "--sas").out
    ben_sees = street.types("ben", *compare, "ana", "--sas").out
    assert ana_sees == ben_sees
    assert "or in numbers: " in ana_sees
    early = street.types("ben", *compare, "ana", "--sas", "--same").out
    assert "as soon as ana has said so too" in early
    assert "are compared" in street.types("ana", *compare, "ben", "--sas", "--same").out
    (shown,) = street.does("ben", "person", "list")["people"]
    assert (shown["trust"], shown["receipts"]) == ("compared", True)
    assert street.types("ben", *compare, "ana", "--differs").status == 2
    nothing = street.types("ben", *compare, "ana", "--sas", "--differs")
    assert (nothing.status, "No comparison with ana" in nothing.err) == (4, True)


def test_invite_is_shown_as_qr_picture_and_text(street: Street) -> None:
    link = street.does("ana", "invite", "--qr", "invite.png")["link"]
    picture = cv2.imread(str(street.folder / "invite.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    found = zxingcpp.read_barcode(picture)
    assert found is not None
    assert found.text == link
    assert "█▀" in street.types("ana", "invite", "--qr", "-").out


@pytest.mark.threat("link-in-other-hands")
def test_first_and_later_users_of_a_link_are_reported(
    street: Street,
) -> None:
    link = street.does("ben", "invite", "--for", "dora")["link"]
    for who in ("mallory", "dora"):
        street.set_up_person(who)
        added = street.types(who, "person", "add", link, "--as", "ben").out
        assert "ben is added, and known by link" in added
    notices = street.types("ben", "inbox").err
    joined, refused = notices.splitlines()
    assert joined.startswith('Somebody who calls themselves "mallory" joined by the link that')
    assert "you made for dora on " in joined
    assert "UTC, with a device set up on " in joined
    assert "You call them dora, and know them by link only" in joined
    assert refused.startswith('Somebody who calls themselves "dora" came by the link that you')
    assert "was not added: the link had been used already, by dora." in refused
    assert "dora counts as unknown" in refused
    assert street.types("ben", "inbox").err == "", "told once"
    listed = street.types("ben", "person", "list").out
    assert "dora  (unknown: compare keys before you send anything private)" in listed
    late = street.types("dora", "inbox").err
    assert "ben's link had been used before you used it" in late
    assert "Nobody yet." in street.types("dora", "person", "list").out
    stopped = street.types("ben", "send", "beach.jpg", "--to", "dora")
    assert (stopped.status, "dora's keys are unknown" in stopped.err) == (3, True)


def test_two_people_compare_face_to_face(street: Street) -> None:
    """Each person scans the other's code; the generated picture stands for a photo of it."""
    assert street.types("ana", "person", "verify", "ben", "--qr", "anas.png").status == 0
    assert street.types("ben", "person", "verify", "ana", "--qr", "bens.png").status == 0
    assert "\u2588\u2580" in street.types("ana", "person", "verify", "ben", "--qr", "-").out
    own = street.types("ana", "person", "verify", "ben", "--scan", "anas.png")
    assert (own.status, "your own device shows" in own.err) == (3, True)
    for who, other, code in (("ana", "ben", "bens.png"), ("ben", "ana", "anas.png")):
        noted = street.types(who, "person", "verify", other, "--scan", code)
        assert (noted.status, "keys are compared on this device" in noted.out) == (0, True)
        people = street.does(who, "person", "list")["people"]
        assert next(one for one in people if one["name"] == other)["trust"] == "compared"
    street.set_up_person("caro")
    street.add_contact("ana", "caro")
    wrong = street.types("ana", "person", "verify", "caro", "--scan", "bens.png")
    assert (wrong.status, "not the one that caro's device shows" in wrong.err) == (5, True)
    none = street.types("ana", "person", "verify", "ben", "--scan", "beach.jpg")
    assert (none.status, "No code was found" in none.err) == (7, True)
    both = street.types("ana", "person", "verify", "ben", "--scan", "bens.png", "--same")
    assert both.status == 2


@pytest.mark.threat("receipt-probing")
def test_receipts_for_contacts_by_link_need_consent_asked_once(
    street: Street,
) -> None:
    """Without a terminal, a hint says how to allow receipts, and the answer counts as no."""
    hints = list[str]()
    for number in range(2):
        sent = street.does("ana", "send", "--text", "Hello", "--to", "ben", "--confirm", "ben")
        street.does("ben", "inbox")
        out = ("--out", f"got {number}")
        hints.append(street.types("ben", "open", sent["message"], *out).err)
    assert "To let that program be told: entrenous person receipts ana --on" in hints[0]
    assert "receipts" not in hints[1]

    def gets_receipts() -> bool:
        people = street.does("ben", "person", "list")["people"]
        return bool(next(one for one in people if one["name"] == "ana")["receipts"])

    assert not gets_receipts()
    assert street.types("ben", "person", "receipts", "ana", "--on").status == 0
    assert gets_receipts()
    assert "ana is not told" in street.types("ben", "person", "receipts", "ana", "--off").out
    assert not gets_receipts()


@pytest.mark.threat("receipt-probing")
@pytest.mark.parametrize(("typed", "answer"), [("yes", True), ("Sí", True), ("", False)])
def test_receipt_consent_is_asked_once_at_a_terminal(
    street: Street, monkeypatch: pytest.MonkeyPatch, typed: str, *, answer: bool
) -> None:
    asked = list[str]()

    def prompt(question: str, **_: object) -> str:
        asked.append(question)
        return typed

    monkeypatch.setattr("typer.prompt", prompt)
    for number in range(2):
        sent = street.does("ana", "send", "--text", "Hello", "--to", "ben", "--confirm", "ben")
        street.does("ben", "inbox")
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        street.types("ben", "open", sent["message"], "--out", f"got {number}")
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert asked == ["Tell ana when you open what they send? [y/N]"]
    people = street.does("ben", "person", "list")["people"]
    assert next(one for one in people if one["name"] == "ana")["receipts"] is answer
