"""The gate's log as a chain of hashes: what was changed, dropped or moved is found.

docs/spec/gate.md section 5, 5.3. Nothing about people is in it, and no fingerprint.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from entrenous.model.errors import Malformed, Unproven

HASH_BYTES: Final = 32
NOTHING: Final = bytes(HASH_BYTES)  # what the first row comes after
_CONTEXT: Final = b"entrenous/1 audit\x00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Details = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row's number and hash: 0 and zeros while there is none."""

    number: int = 0
    hash: bytes = NOTHING

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, untrusted_text: str) -> Self:
        """From its text, "12:ab34..."; raises BadHead."""
        number, _, digits = untrusted_text.strip().partition(":")
        try:
            head = cls(int(number), bytes.fromhex(digits))
        except ValueError:
            raise BadHead from None
        well_formed = head.number >= 0 and len(head.hash) == HASH_BYTES
        if not well_formed or str(head) != untrusted_text.strip():
            raise BadHead
        return head


@dataclass(frozen=True, slots=True)
class AuditRow:
    """``what`` happened to ``of``, e.g. "claim confirmed" to a claim's id."""

    number: int
    at: datetime
    what: str
    of: str
    details: Details
    before: bytes
    hash: bytes = b""

    @classmethod
    def after(cls, head: Head, at: datetime, what: str, of: str, details: Details) -> Self:
        """The row that comes after ``head``, sealed."""
        row = cls(head.number + 1, at, what, of, dict(details), head.hash)
        return cls(row.number, at, what, of, row.details, row.before, row.seal())

    @property
    def head(self) -> Head:
        """The log's head when this row was its last."""
        return Head(self.number, self.hash)

    def seal(self) -> bytes:
        """SHA-256, 32 bytes, over the canonical JSON (RFC 8785) of all but ``hash``.

        Keys are ASCII and numbers whole, where sorted JSON without blanks is canonical.
        """
        said = {
            "at": (self.at - _EPOCH) // timedelta(microseconds=1),
            "before": self.before.hex(),
            "details": dict(self.details),
            "number": self.number,
            "of": self.of,
            "what": self.what,
        }
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(_CONTEXT + text.encode()).digest()


def check_chain(rows: Iterable[AuditRow], start: Head = Head()) -> Head:
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


class BadHead(Malformed):
    """
    The head of a log looks like 12:ab34..., a number and 64 hexadecimal digits, as
    gate audit verify prints it.
    """
