"""The head of a vault, ``vault.json``: in clear, how its key is derived (docs/spec/lock.md 3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from entrenous.adapters.private_file import write_private
from entrenous.craft.crypto.vault_key import SALT_BYTES, Cost
from entrenous.model.ids import ID_BYTES, MailboxId
from entrenous.model.lock import RelayLock
from entrenous.model.record import BadRecord
from entrenous.model.secret import Secret
from entrenous.spec import TOKEN_BYTES, UNLOCK_TOKENS_KEPT

FIRST_SCHEMA: Final = "entrenous/vault/1"
SCHEMA: Final = "entrenous/vault/2"
_FILE: Final = "vault.json"


@dataclass(frozen=True, slots=True)
class Terms:
    """How one key is derived; ``first`` is the way of the first schema, without a relay."""

    salt: bytes
    cost: Cost
    lock: RelayLock | None = None
    first: bool = False

    def __post_init__(self) -> None:
        if len(self.salt) < SALT_BYTES:
            raise ValueError("a salt has 16 bytes")
        if self.first and self.lock is not None:
            raise ValueError("a vault of the first schema has no relay's lock")


@dataclass(frozen=True, slots=True)
class Head:
    """How the key is derived, and how it is if a change of it was completed by a crash."""

    now: Terms
    next: Terms | None = None


class _Lock(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    relay_url: str
    mailbox: bytes
    unlock_token: bytes
    earlier: tuple[bytes, ...] = ()


class _Terms(msgspec.Struct, forbid_unknown_fields=True):
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    lock: _Lock | None


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    lock: _Lock | None = None
    next: _Terms | None = None


def has_vault(home: Path) -> bool:
    """Whether a device was set up in this folder."""
    return (home / _FILE).is_file()


def read_head(home: Path) -> Head:
    """The head of the vault in ``home``; raises BadRecord."""
    try:
        read = msgspec.json.decode((home / _FILE).read_bytes(), type=_Head)
        if read.schema not in (FIRST_SCHEMA, SCHEMA):
            raise BadRecord(kind="vault head")
        now = _terms(read, first=read.schema == FIRST_SCHEMA)
        return Head(now, None if read.next is None else _terms(read.next))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise BadRecord(kind="vault head") from None


def write_head(home: Path, head: Head) -> None:
    """Replace the head; when this returns it is durable, and a crash never leaves half of it."""
    now, after = _shape(head.now), None if head.next is None else _shape(head.next)
    cost = (now.memory_kib, now.passes, now.lanes)
    schema = FIRST_SCHEMA if head.now.first else SCHEMA
    shape = _Head(schema, now.salt, *cost, now.lock, after)
    write_private(home / _FILE, msgspec.json.encode(shape))


def _terms(read: _Head | _Terms, *, first: bool = False) -> Terms:
    """Raises ValueError if there are no such terms."""
    cost = Cost(read.memory_kib, read.passes, read.lanes)
    return Terms(read.salt, cost, None if read.lock is None else _lock(read.lock), first)


def _lock(read: _Lock) -> RelayLock:
    tokens = (read.unlock_token, *read.earlier)
    if len(read.mailbox) != ID_BYTES or {len(token) for token in tokens} != {TOKEN_BYTES}:
        raise ValueError("a lock names a mailbox of 16 bytes and tokens of 32")
    if len(read.earlier) > UNLOCK_TOKENS_KEPT:
        raise ValueError("a lock keeps eight earlier tokens")
    newest, *earlier = map(Secret, tokens)
    return RelayLock(read.relay_url, MailboxId(read.mailbox), newest, tuple(earlier))


def _shape(terms: Terms) -> _Terms:
    cost, lock = terms.cost, terms.lock
    shape = None
    if lock is not None:
        newest, *earlier = (one.reveal() for one in (lock.unlock_token, *lock.earlier))
        shape = _Lock(lock.relay_url, lock.mailbox, newest, tuple(earlier))
    return _Terms(terms.salt, cost.memory_kib, cost.passes, cost.lanes, shape)
