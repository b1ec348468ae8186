"""Copies for other channels: made one by one, and in the ledger once all of them exist."""

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.ids import RecipientId
from entrenous.send.mark import mark_copies
from tests.send.room import SMALL, Room

TO = [RecipientId(label) for label in ("ben", "caro", "dan")]


def test_copies_come_one_by_one_and_the_ledger_has_them_with_the_last(room: Room) -> None:
    ana = room["ana"]
    made = mark_copies(SMALL, TO, None, ana.device)
    thrown = ana.device.dice.thrown  # type: ignore[attr-defined]
    copies = [next(made)]
    assert ana.device.dice.thrown > thrown  # type: ignore[attr-defined]
    copies.append(next(made))
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}
    copies.extend(made)
    (message,) = ana.device.ledger.messages()
    assert {name for name, _ in copies} == {message.name}
    assert [copy.to for _, copy in copies] == TO
    assert len({copy.data for _, copy in copies}) == 3
    (picture,) = message.pictures
    assert [(copy.to, copy.sha256) for copy in picture.copies] == [
        (copy.to, sha256(copy.data)) for _, copy in copies
    ]
    assert all(copy.person is None for copy in picture.copies)
    assert ana.device.vault.kept(picture.original) == SMALL


def test_what_was_broken_off_leaves_nothing(room: Room) -> None:
    ana = room["ana"]
    made = mark_copies(SMALL, TO, None, ana.device)
    next(made)
    made.close()  # type: ignore[attr-defined]
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}


def test_the_second_message_has_another_name(room: Room) -> None:
    ana = room["ana"]
    names = {name for _ in range(2) for name, _ in mark_copies(SMALL, TO[:1], 100, ana.device)}
    assert len(names) == 2
