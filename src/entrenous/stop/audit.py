"""The rows of the gate's audit log, and the check of their hash chain (docs/spec/gate.md, 5).

The check detects rows that were changed, deleted, moved or added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Self

from entrenous.base.errors import Malformed, Unproven

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

AUDIT_HASH_BYTES: Final = 32
EMPTY_LOG_HASH: Final = bytes(AUDIT_HASH_BYTES)  # the hash before the first row
_AUDIT_CONTEXT: Final = b"entrenous/1 audit\x00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AuditDetails = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The number and the hash of the log's newest row; for an empty log, 0 and 32 zero bytes."""

    number: int = 0
    hash: bytes = EMPTY_LOG_HASH

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, untrusted_text: str) -> Self:
        """Parse text such as "12:ab34..."; raises BadHead."""
        number, _, digits = untrusted_text.strip().partition(":")
        try:
            head = cls(int(number), bytes.fromhex(digits))
        except ValueError:
            raise BadHead from None
        well_formed = head.number >= 0 and len(head.hash) == AUDIT_HASH_BYTES
        if not well_formed or str(head) != untrusted_text.strip():
            raise BadHead
        return head


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row of the audit log: ``what`` happened to ``of``, e.g. "claim confirmed" to a claim's id.

    ``before`` is the hash of the row before it, and ``hash`` is the hash of this row.
    """

    number: int
    at: datetime
    what: str
    of: str
    details: AuditDetails
    before: bytes
    hash: bytes = b""

    @classmethod
    def after(
        cls, head: AuditHead, at: datetime, what: str, of: str, details: AuditDetails
    ) -> Self:
        """Make the row after ``head``, with its hash."""
        row = cls(head.number + 1, at, what, of, dict(details), head.hash)
        return cls(row.number, at, what, of, row.details, row.before, row.compute_hash())

    @property
    def head(self) -> AuditHead:
        """Return the head that the log has while this row is its last."""
        return AuditHead(self.number, self.hash)

    def compute_hash(self) -> bytes:
        """Return the SHA-256 (32 bytes) of the canonical JSON (RFC 8785) of all fields except
        ``hash``.

        With ASCII keys and whole numbers, sorted JSON without blanks is canonical.
        """
        content = {
            "at": (self.at - _EPOCH) // timedelta(microseconds=1),
            "before": self.before.hex(),
            "details": dict(self.details),
            "number": self.number,
            "of": self.of,
            "what": self.what,
        }
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(_AUDIT_CONTEXT + text.encode()).digest()


class BadHead(Malformed):
    """
    This is not the head of an audit log, so nothing was checked. A head is a number and 64
    hexadecimal digits, such as 12:ab34..., as printed by: entrenous gate audit verify
    """


def check_chain(rows: Iterable[AuditRow], start: AuditHead = AuditHead()) -> AuditHead:
    """Verify the rows that follow the head ``start``, and return the head after them.

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
    The gate's log cannot be trusted from row {number} on: either something other than the gate
    changed, deleted, moved or added a row there, or the log head (the hash of a row) that you gave
    is not from this log. This check changed nothing. First compare the log head with the one that
    you noted. If it is right, keep a copy of the database as it is, and compare it with your
    backups.
    """


_ROWS_PER_READ: Final = 1000


def verify_audit_log(bank: BankStore, noted: AuditHead | None = None) -> AuditHead:
    """Verify the whole log and return its head.

    Args:
        bank: the store that has the log.
        noted: an earlier head that was written down elsewhere and must still be in the log. Without
            it, a log that was rewritten from its start goes undetected.

    Raises:
        AuditLogChanged: a row was changed, deleted, moved or added, or the noted head is not in the
            log.
    """
    head = AuditHead()
    if noted is not None:
        head = check_chain(_rows_up_to(noted, head, bank))
        if head != noted:
            raise AuditLogChanged(number=min(head.number, noted.number))
    head = check_chain(audit_rows(bank, head.number), head)
    # Either rows were added meanwhile, or the log was tampered with.
    if head != (stored := bank.audit_log_head()):
        head = check_chain(_rows_up_to(stored, head, bank), head)
        if head != stored:
            raise AuditLogChanged(number=min(head.number, stored.number) + 1)
    return head


def audit_rows(bank: BankStore, after: int = 0) -> Iterator[AuditRow]:
    """Yield every row with a number above ``after``, in order."""
    while page := bank.log(after, _ROWS_PER_READ):
        yield from page
        after = page[-1].number


def _rows_up_to(last: AuditHead, head: AuditHead, bank: BankStore) -> Iterator[AuditRow]:
    return takewhile(lambda row: row.number <= last.number, audit_rows(bank, head.number))
