"""Copies for other channels: made one by one, and in the ledger before they are handed over."""

import pytest

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.ids import RecipientId
from entrenous.send.mark import mark_copies
from tests.send.room import SMALL, Room

TO = [RecipientId(label) for label in ("ben", "caro", "dan")]


def test_copies_come_one_by_one_and_the_ledger_has_them_all(room: Room) -> None:
    ana = room["ana"]
    made = mark_copies(SMALL, TO, None, ana.device)
    thrown = ana.device.dice.thrown  # type: ignore[attr-defined]
    copies = [next(made)]
    assert ana.device.dice.thrown > thrown  # type: ignore[attr-defined]
    copies.append(next(made))
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


@pytest.mark.parametrize("taken", [1, 2])
def test_what_was_broken_off_can_be_traced_as_far_as_it_came(room: Room, taken: int) -> None:
    """Somebody stops the program; the copies that she has on disk are in the ledger."""
    ana = room["ana"]
    made = mark_copies(SMALL, TO, None, ana.device)
    copies = [next(made)[1] for _ in range(taken)]
    made.close()  # type: ignore[attr-defined]
    (message,) = ana.device.ledger.messages()
    (picture,) = message.pictures
    assert [copy.sha256 for copy in picture.copies] == [sha256(copy.data) for copy in copies]
    assert ana.device.vault.kept(picture.original) == SMALL
    assert len(ana.vault._files) == 1


def test_the_second_message_has_another_name(room: Room) -> None:
    ana = room["ana"]
    names = {name for _ in range(2) for name, _ in mark_copies(SMALL, TO[:1], 100, ana.device)}
    assert len(names) == 2
