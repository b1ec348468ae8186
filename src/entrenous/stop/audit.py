"""Read the gate's log from its start, and say whether it holds (docs/spec/gate.md section 5)."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from entrenous.model.audit import AuditRow, Head, LogChanged, check_chain
from entrenous.ports import BankStore

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
