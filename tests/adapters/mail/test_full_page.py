"""What is behind a full page is not even read."""

from collections.abc import Iterator

from entrenous.adapters.mail.full_page import until_full
from entrenous.model.held import HeldLetter
from entrenous.model.ids import EnvelopeId, MailboxId
from tests.carry.relays import NOON


def test_none_is_asked_for_behind_the_one_that_makes_it_full() -> None:
    asked = []

    def letters() -> Iterator[HeldLetter]:
        for number in range(9):
            asked.append(number)
            yield HeldLetter(EnvelopeId(b"e"), MailboxId(b"m"), number, bytes(100), NOON)

    assert len(until_full(letters(), 250)) == 3
    assert asked == [0, 1, 2]
