"""Mailboxes, prekeys, send tokens, the relay itself (docs/spec/relay.md sections 1 to 3)."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.relay.strict import (
    Count,
    Seconds,
    Strict,
    from_json,
    made,
    maybe_b64u,
    maybe_bytes,
    maybe_moment,
    maybe_seconds,
    to_json,
    to_moment,
    to_seconds,
)
from entrenous.model.envelope import PrekeyBundle, Prekeys, Protocol, SendToken, TokenBatch
from entrenous.model.ids import DeviceId
from entrenous.model.program import UNKNOWN, Program
from entrenous.model.relay_problem import NotUnderstood
from entrenous.spec import LOCK_BYTES, ONE_TIME_KEYS, TOKEN_BATCH_MAX

STATUS_SCHEMA: Final = "entrenous/relay-status/1"
_NOT_SAID: Final = Program()
_Locked = Annotated[list[str], msgspec.Meta(max_length=TOKEN_BATCH_MAX)]


class _Locks(Strict, frozen=True):
    owner_lock: str
    close_lock: str | None


class _Prekeys(Strict, frozen=True):
    # The relay keeps 50 of them: more than twice as many would only make it count.
    one_time: Annotated[list[str], msgspec.Meta(max_length=2 * ONE_TIME_KEYS)]
    fallback: str
    xwing: str


class _KeyCount(Strict, frozen=True):
    one_time: Count


class _Bundle(Strict, frozen=True):
    one_time: str | None
    fallback: str
    xwing: str


class _Token(Strict, frozen=True):
    uses: Count | None
    expires_at: Seconds | None


class _Batch(Strict, frozen=True):
    add: _Locked
    drop: _Locked
    expires_at: Seconds


class _Held(Strict, frozen=True):
    held: Count


class _Versions(Strict, frozen=True):
    floor: Count
    newest: Count


class _Status(Strict, frozen=True):
    schema: str
    protocol: _Versions
    restored_at: Seconds | None
    version: str = UNKNOWN
    commit: str = UNKNOWN


def write_mailbox_locks(owner_lock: bytes, close_lock: bytes | None) -> bytes:
    """The body that makes a mailbox."""
    return to_json(_Locks(b64u(owner_lock), maybe_b64u(close_lock)))


def read_mailbox_locks(untrusted_body: bytes) -> tuple[bytes, bytes | None]:
    """The locks of a new mailbox, 32 bytes each: its owner's, and of the token that deletes it."""
    read = from_json(_Locks, untrusted_body)
    close_lock = None if read.close_lock is None else unb64u(read.close_lock, LOCK_BYTES)
    return unb64u(read.owner_lock, LOCK_BYTES), close_lock


def write_prekeys(prekeys: Prekeys) -> bytes:
    """The body that publishes prekeys."""
    one_time = [b64u(signed) for signed in prekeys.one_time]
    return to_json(_Prekeys(one_time, b64u(prekeys.fallback), b64u(prekeys.xwing)))


def read_prekeys(untrusted_body: bytes) -> Prekeys:
    """Prekeys, each still opaque."""
    read = from_json(_Prekeys, untrusted_body)
    one_time = tuple(unb64u(signed) for signed in read.one_time)
    return Prekeys(one_time, unb64u(read.fallback), unb64u(read.xwing))


def write_key_count(count: int) -> bytes:
    """How many one-time keys are held."""
    return to_json(_KeyCount(count))


def read_key_count(untrusted_body: bytes) -> int:
    """How many one-time keys are held."""
    return from_json(_KeyCount, untrusted_body).one_time


def write_bundle(bundle: PrekeyBundle) -> bytes:
    """The answer to a claim."""
    return to_json(_Bundle(maybe_b64u(bundle.one_time), b64u(bundle.fallback), b64u(bundle.xwing)))


def read_bundle(untrusted_body: bytes, device: DeviceId) -> PrekeyBundle:
    """What a claim for ``device`` was answered with, still opaque."""
    read = from_json(_Bundle, untrusted_body)
    one_time = maybe_bytes(read.one_time)
    return PrekeyBundle(device, one_time, unb64u(read.fallback), unb64u(read.xwing))


def write_send_token(token: SendToken) -> bytes:
    """The terms of a send token."""
    return to_json(_Token(token.uses, maybe_seconds(token.expires_at)))


def read_send_token(untrusted_body: bytes, lock: bytes) -> SendToken:
    """The terms of the send token of ``lock``."""
    read = from_json(_Token, untrusted_body)
    return made(SendToken, lock, read.uses, maybe_moment(read.expires_at))


def write_batch(batch: TokenBatch) -> bytes:
    """The body that adds and drops many tokens."""
    add, drop = ([b64u(lock) for lock in locks] for locks in (batch.add, batch.drop))
    return to_json(_Batch(add, drop, to_seconds(batch.expires_at)))


def read_batch(untrusted_body: bytes) -> TokenBatch:
    """Many tokens at once."""
    read = from_json(_Batch, untrusted_body)
    add, drop = (
        tuple(unb64u(lock, LOCK_BYTES) for lock in locks) for locks in (read.add, read.drop)
    )
    return made(TokenBatch, add, drop, to_moment(read.expires_at))


def write_held(count: int) -> bytes:
    """How many send tokens are held."""
    return to_json(_Held(count))


def read_held(untrusted_body: bytes) -> int:
    """How many send tokens are held."""
    return from_json(_Held, untrusted_body).held


def read_status(untrusted_body: bytes) -> tuple[Protocol, datetime | None]:
    """What a relay says about itself; when it was last restored from a backup, if ever."""
    read = from_json(_Status, untrusted_body)
    if read.schema != STATUS_SCHEMA:
        raise NotUnderstood
    protocol = Protocol(read.protocol.floor, read.protocol.newest)
    return protocol, maybe_moment(read.restored_at)


def write_status(
    protocol: Protocol, restored_at: datetime | None, program: Program = _NOT_SAID
) -> bytes:
    """What a relay says about itself: what it speaks, when it was last restored from a backup, if
    ever, and which program it is. A device has no use for the last, and does not read it.
    """
    versions, restored = _Versions(protocol.floor, protocol.newest), maybe_seconds(restored_at)
    return to_json(_Status(STATUS_SCHEMA, versions, restored, program.version, program.commit))
