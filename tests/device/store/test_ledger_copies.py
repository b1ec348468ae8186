"""Tests of batches of copies in the ledger: order, replacement, and deletion with the message."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.base.copies import Copy
from entrenous.base.identifiers import RecipientId
from entrenous.base.secret import Secret
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from tests.device.store.test_ledger import KEY, make_message, make_picture
from tests.in_memory.vault import MemoryVault


@pytest.fixture(params=["memory", "sqlcipher"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VaultLedger]:
    if request.param == "memory":
        yield VaultLedger(MemoryVault())
        return
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        yield VaultLedger(vault)


def make_copies(*names: str) -> tuple[Copy, ...]:
    return tuple(Copy(RecipientId(name), Secret(b"s" * 32), b"h" * 32) for name in names)


def copy_recipients(ledger: VaultLedger, number: int, place: int = 0) -> list[str]:
    found = next(one for one in ledger.messages() if one.id == make_message(number).id)
    assert ledger.message_named(found.name) == found
    return [copy.to for copy in found.pictures[place].copies]


def test_batches_follow_the_messages_own_copies_in_order(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    ledger.store_message(make_message(2))
    # The start numbers have one to three digits, and must not be sorted as text.
    for start in range(1, 400, 3):
        ledger.put_copy_batch(
            make_message(1).id, 0, start, make_copies(*(f"p{start + k}" for k in range(3)))
        )
    assert copy_recipients(ledger, 1) == ["ben", *(f"p{number}" for number in range(1, 400))]
    assert copy_recipients(ledger, 2) == ["ben"]


def test_batch_that_starts_at_the_same_copy_is_replaced(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    ledger.put_copy_batch(make_message(1).id, 0, 1, make_copies("ana", "caro"))
    ledger.put_copy_batch(make_message(1).id, 0, 3, make_copies("dan", "eva"))
    ledger.put_copy_batch(make_message(1).id, 0, 3, make_copies("dan"))
    assert copy_recipients(ledger, 1) == ["ben", "ana", "caro", "dan"]
    ledger.put_copy_batch(make_message(1).id, 0, 3, ())
    assert copy_recipients(ledger, 1) == ["ben", "ana", "caro"]


def test_each_picture_has_its_own_copies(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1, make_picture(3), make_picture(4)))
    ledger.put_copy_batch(make_message(1).id, 1, 1, make_copies("ana"))
    assert (copy_recipients(ledger, 1, 0), copy_recipients(ledger, 1, 1)) == (
        ["ben"],
        ["ben", "ana"],
    )


def test_copies_are_deleted_with_their_message(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    ledger.store_message(make_message(2))
    for number in (1, 2):
        ledger.put_copy_batch(make_message(number).id, 0, 1, make_copies("ana"))
    ledger.delete_message(make_message(1).id)
    ledger.store_message(make_message(1))
    ledger.store_message(replace(make_message(2), caption=None))
    assert (copy_recipients(ledger, 1), copy_recipients(ledger, 2)) == (["ben"], ["ben"])
