"""The guard: silent on ordinary sends; asks for the name of whoever is odd, and of nobody else."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.model.ids import RecipientId
from entrenous.model.message import ConfirmsNobody, Draft, GuardSaysStop, Policy
from entrenous.model.person import UnknownPerson
from entrenous.send.fetch import fetch_messages
from entrenous.send.guard import insist, resembles, warn_about
from entrenous.send.people import contact_named, keep_contact, verify_contact
from entrenous.send.send import send_message
from tests.send.room import SMALL, Person, Room


def draft(sender: Person, *to: str, confirmed: tuple[str, ...] = ()) -> Draft:
    policy = Policy(sender.device.clock.now() + timedelta(days=1))
    names = tuple(RecipientId(name) for name in to)
    return Draft((SMALL,), names, policy, confirmed=frozenset(confirmed))


def doubts(sender: Person, *to: str) -> dict[str, str]:
    return {str(d.who): d.why for d in warn_about(draft(sender, *to), sender.device)}


def test_a_first_message_is_asked_about_and_a_second_is_not(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert doubts(ana, "ben") == {"ben": "this is the first message to ben"}
    ana.sends(SMALL, ben)
    assert doubts(ana, "ben") == {}
    insist(draft(ana, "ben"), ana.device)


def test_keys_that_were_not_compared_are_asked_about_until_they_are(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ben.sends(SMALL, ana)
    assert doubts(ben, "ana") == {"ana": "you have not compared ana's keys yet"}
    verify_contact("ana", ben.device)
    assert doubts(ben, "ana") == {}


def called(name: str, room: Room) -> None:
    """Somebody whom Ana calls ``name``."""
    one = room.settles(f"{len(room.people)}")
    room["ana"].adds(one)
    contact = contact_named(one.name, room["ana"].device)
    keep_contact(replace(contact, name=name), room["ana"].device)


@pytest.mark.parametrize(
    "alike", ["bet", "bn", "bnen", "bne", "BEN2", "be\u200cnn", "\uff42\uff45\uff4d"]
)
def test_a_name_that_is_easily_taken_for_another_is_asked_about(friends: Room, alike: str) -> None:
    ana = friends["ana"]
    ana.sends(SMALL, friends["ben"])
    called(alike, friends)
    assert doubts(ana, "ben") == {"ben": f"ben is easily taken for {alike}"}
    for _ in range(2):
        ana.sends(SMALL, friends["ben"])
    assert doubts(ana, "ben") == {}


def test_every_reason_is_said_and_only_the_odd_ones_are_asked_about(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.sends(SMALL, ben)
    caro = friends.settles("caro")
    caro.adds(ana)
    called("cara", friends)
    why = doubts(ana, "ben", "caro")
    assert list(why) == ["caro"]
    for reason in ("compared caro's keys", "first message to caro", "easily taken for cara"):
        assert reason in why["caro"]
    with pytest.raises(GuardSaysStop) as stopped:
        send_message(draft(ana, "ben", "caro"), ana.device)
    assert "--confirm caro" in str(stopped.value)
    assert "--confirm ben" not in str(stopped.value)


def test_nothing_but_the_very_name_answers(friends: Room) -> None:
    ana = friends["ana"]
    for typed in ("bem", "ben ", "yes", "y", ""):
        with pytest.raises(ConfirmsNobody):
            insist(draft(ana, "ben", confirmed=(typed,)), ana.device)
    for same in ("ben", "Ben", "BEN", "b\u200den"):
        insist(draft(ana, "ben", confirmed=(same,)), ana.device)


def test_one_persons_name_does_not_answer_for_another(friends: Room) -> None:
    ana = friends["ana"]
    ana.adds(friends.settles("caro"))
    with pytest.raises(GuardSaysStop, match="confirm caro"):
        insist(draft(ana, "ben", "caro", confirmed=("ben",)), ana.device)
    with pytest.raises(ConfirmsNobody, match="goes to ben"):
        insist(draft(ana, "ben", confirmed=("ben", "caro")), ana.device)


def test_a_stop_leaves_nothing_behind(friends: Room) -> None:
    ana = friends["ana"]
    before = dict(ana.vault._files)
    with pytest.raises(GuardSaysStop):
        send_message(draft(ana, "ben"), ana.device)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == before
    assert fetch_messages(friends["ben"].device).came == 0


def test_somebody_unknown_is_nobody_to_be_asked_about(friends: Room) -> None:
    with pytest.raises(UnknownPerson, match="ben"):
        warn_about(draft(friends["ana"], "zoe"), friends["ana"].device)


def one_slip_from(word: str, letters: str) -> set[str]:
    """Everything that one letter more, less or other, or two swapped, makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    less = {a + b[1:] for a, b in cuts if b}
    more = {a + letter + b for a, b in cuts for letter in letters}
    other = {a + letter + b[1:] for a, b in cuts if b for letter in letters}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    return less | more | other | swapped | {word}


def test_resembles_is_exactly_one_slip() -> None:
    words = ["".join(word) for size in range(5) for word in product("ab", repeat=size)]
    for word in words:
        near = one_slip_from(word, "ab")
        assert [other for other in words if resembles(word, other)] == [
            other for other in words if other in near
        ]


@given(st.text(max_size=12), st.text(max_size=12))
def test_resemblance_is_mutual_and_everybody_resembles_themselves(one: str, other: str) -> None:
    assert resembles(one, one)
    assert resembles(one, other) == resembles(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Zoé", "ZOE\u0301"), ("ana", "a\u200dn\u200da"), ("Straße", "STRASSE"), ("fin", "ﬁn")],
)
def test_what_looks_the_same_resembles(one: str, other: str) -> None:
    assert resembles(one, other)
