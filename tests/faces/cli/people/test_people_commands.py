"""Circles, blocking, renaming and comparing at the command line."""

import cv2
import pytest
import zxingcpp

from tests.faces.cli.test_letters import Street


def test_a_circle_is_made_sent_to_and_let_go(street: Street) -> None:
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
    assert (unknown.status, "no circle family" in unknown.err) == (4, True)


def test_somebody_is_renamed_blocked_and_let_in_again(street: Street) -> None:
    assert street.types("ana", "person", "rename", "ben", "Ben Okri").status == 0
    assert "blocked" in street.types("ana", "person", "block", "ben okri").out
    (shown,) = street.does("ana", "person", "list")["people"]
    keys = street.does("ben", "device", "list")["keys"]
    assert shown == {"name": "Ben Okri", "verified": True, "keys": keys, "blocked": True}
    assert f"Your keys: {keys[:4]} {keys[4:8]} " in street.types("ben", "device", "list").out
    refused = street.types("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")
    assert (refused.status, "You blocked Ben Okri" in refused.err) == (3, True)
    assert "(blocked, keys compared)" in street.types("ana", "person", "list").out
    assert street.types("ana", "person", "unblock", "Ben Okri").status == 0
    assert street.does("ana", "send", "beach.jpg", "--to", "Ben Okri", "--confirm", "Ben")


def test_who_is_left_out_of_a_circle_is_named(street: Street) -> None:
    street.settles("caro")
    street.adds("ana", "caro")
    street.does("ana", "circle", "add", "all friends", "--person", "ben", "--person", "caro")
    assert "--to 'all friends'" in street.types("ana", "circle", "add", "all friends").out
    assert street.types("ana", "person", "block", "caro").status == 0
    sent = street.types(
        *("ana", "send", "beach.jpg", "--to", "all friends", "--confirm", "all friends")
    )
    assert (sent.status, "caro is in it too, but you blocked them" in sent.err) == (0, True)
    gone = street.types("ana", "person", "forget", "caro")
    assert "They are in your circle all friends no more." in gone.out


def test_a_link_says_what_it_is_good_for_and_its_last_use_is_told(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "30 days and 10 first letters" in street.types("ben", "invite").out
    monkeypatch.setattr("entrenous.send.acquaintance.invite.INVITE_USES", 2)
    link = street.does("ben", "invite")["link"]
    for who, last in (("caro", False), ("dora", True)):
        street.settles(who)
        added = street.types(who, "person", "add", link, "--as", "Ben Okri")
        assert "next: entrenous send PHOTO --to 'Ben Okri'" in added.out
        assert ("That was the last letter that this link lets in" in added.err) is last


def test_a_set_up_that_is_refused_leaves_nothing(street: Street) -> None:
    setup = ("setup", "--name", "-x", "--offline")
    assert street.types("dora", *setup).status == 3
    assert not (street.folder / "dora").exists()
    (street.folder / "dora").mkdir()
    (street.folder / "dora" / "mine").write_text("")
    assert street.types("dora", *setup).status == 3
    assert [one.name for one in (street.folder / "dora").iterdir()] == ["mine"]


def test_two_compare_seven_pictures(street: Street) -> None:
    compare = ("person", "verify")
    assert "Asked." in street.types("ana", *compare, "ben", "--sas").out
    assert "Answered." in street.types("ben", *compare, "ana", "--sas").out
    hers = street.types("ana", *compare, "ben", "--sas").out
    his = street.types("ben", *compare, "ana", "--sas").out
    assert hers == his
    assert "or in numbers: " in hers
    early = street.types("ben", *compare, "ana", "--sas", "--same").out
    assert "as soon as ana has said so too" in early
    assert "are compared" in street.types("ana", *compare, "ben", "--sas", "--same").out
    (shown,) = street.does("ben", "person", "list")["people"]
    assert shown["verified"] is True
    assert street.types("ben", *compare, "ana", "--differs").status == 2
    nothing = street.types("ben", *compare, "ana", "--sas", "--differs")
    assert (nothing.status, "nothing of ana's to compare" in nothing.err) == (4, True)


def test_an_invite_as_a_picture_and_on_the_terminal(street: Street) -> None:
    link = street.does("ana", "invite", "--qr", "invite.png")["link"]
    picture = cv2.imread(str(street.folder / "invite.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    found = zxingcpp.read_barcode(picture)
    assert found is not None
    assert found.text == link
    assert "█▀" in street.types("ana", "invite", "--qr", "-").out
