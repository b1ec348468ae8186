"""Verify the hash chain of the gate's audit log from its start (docs/spec/gate.md, 5).

Verification detects rows that were changed, deleted, moved or added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from entrenous.base.errors import Unproven
from entrenous.stop.nouns import AuditRow, Head

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore


def check_chain(rows: Iterable[AuditRow], start: Head = Head()) -> Head:  # noqa: B008 (frozen)
    """Verify rows that follow ``start`` and return the head after them.

    Raises:
        AuditLogChanged: a row was changed, deleted, moved or added.
    """
    head = start
    for row in rows:
        if (row.number, row.before) != (
            head.number + 1,
            head.hash,
        ) or row.hash != row.compute_hash():
            raise AuditLogChanged(number=head.number + 1)
        head = row.head
    return head


class AuditLogChanged(Unproven):
    """
    The gate's log cannot be trusted from row {number} on: something other than the gate changed,
    deleted, moved or added a row there. Nothing was changed now. Keep a copy of the database as it
    is, and compare it with your backups.
    """


_PAGE: Final = 1000


def verify_log(bank: BankStore, noted: Head | None = None) -> Head:
    """Verify the whole log and return its head.

    Args:
        bank: the store that has the log.
        noted: an earlier head that was written down elsewhere and must still be in the log.
            Without it, a log that was rewritten from its start is not detected.

    Raises:
        AuditLogChanged: a row was changed, deleted, moved or added, or the noted head is not in the
            log.
    """
    head = Head()
    if noted is not None:
        head = check_chain(_verify_up_to(noted, head, bank))
        if head != noted:
            raise AuditLogChanged(number=min(head.number, noted.number))
    head = check_chain(audit_rows(bank, head.number), head)
    # Either rows were added meanwhile, or the log was tampered with.
    if head != (stored := bank.log_head()):
        head = check_chain(_verify_up_to(stored, head, bank), head)
        if head != stored:
            raise AuditLogChanged(number=min(head.number, stored.number) + 1)
    return head


def audit_rows(bank: BankStore, after: int = 0) -> Iterator[AuditRow]:
    """Yield every row with a number above ``after``, in order."""
    while page := bank.log(after, _PAGE):
        yield from page
        after = page[-1].number


def _verify_up_to(last: Head, head: Head, bank: BankStore) -> Iterator[AuditRow]:
    return takewhile(lambda row: row.number <= last.number, audit_rows(bank, head.number))
