"""Verify the chain of hashes of the gate's audit log, from its start (docs/spec/gate.md, 5).

A row that was changed, dropped, moved or added is found.
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final

from entrenous.base.errors import Unproven
from entrenous.stop.nouns import AuditRow, Head
from entrenous.stop.stores import BankStore


def check_chain(rows: Iterable[AuditRow], start: Head = Head()) -> Head:  # noqa: B008 (frozen)  # noqa: B008 (frozen)
    """The head after these rows, which come after ``start``.

    Raises:
        LogChanged: a row is missing, was added, moved or changed.
    """
    head = start
    for row in rows:
        if (row.number, row.before) != (head.number + 1, head.hash) or row.hash != row.seal():
            raise LogChanged(number=head.number + 1)
        head = row.head
    return head


class LogChanged(Unproven):
    """
    The gate's log does not hold from row {number} on: a row there was changed, dropped, moved or
    added by something other than the gate. Keep a copy of the database as it is, and compare it
    with your backups.
    """


_PAGE: Final = 1000


def verify_log(bank: BankStore, noted: Head | None = None) -> Head:
    """The head of the log, which was read whole and holds.

    Args:
        bank: the store that has the log.
        noted: the head as it was written down elsewhere at an earlier time: the log must still
            contain it. Without one, a log that somebody wrote anew from its start is not found.

    Raises:
        LogChanged: a row was changed, dropped, moved or added, or the noted head is not in it.
    """
    head = Head()
    if noted is not None:
        head = check_chain(_up_to(noted, head, bank))
        if head != noted:
            raise LogChanged(number=min(head.number, noted.number))
    head = check_chain(rows_of(bank, head.number), head)
    if head != (kept := bank.log_head()):  # rows were added meanwhile, or it does not hold
        head = check_chain(_up_to(kept, head, bank), head)
        if head != kept:
            raise LogChanged(number=min(head.number, kept.number) + 1)
    return head


def rows_of(bank: BankStore, after: int = 0) -> Iterator[AuditRow]:
    """Every row after that number, in order."""
    while page := bank.log(after, _PAGE):
        yield from page
        after = page[-1].number


def _up_to(last: Head, head: Head, bank: BankStore) -> Iterator[AuditRow]:
    return takewhile(lambda row: row.number <= last.number, rows_of(bank, head.number))
