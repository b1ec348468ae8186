"""Test that ``cut_full_page`` takes no row beyond a full page."""

from collections.abc import Iterator

from entrenous.base.identifiers import EnvelopeId, MailboxId
from entrenous.carry.relay_rows import StoredLetter
from entrenous.carry.store.statements import cut_full_page
from tests.carry.relays import NOON


def test_no_row_is_read_beyond_a_full_page() -> None:
    read = []

    def stored_letters() -> Iterator[StoredLetter]:
        for number in range(9):
            read.append(number)
            yield StoredLetter(EnvelopeId(b"e"), MailboxId(b"m"), number, bytes(100), NOON)

    assert len(cut_full_page(stored_letters(), 250)) == 3
    assert read == [0, 1, 2]
