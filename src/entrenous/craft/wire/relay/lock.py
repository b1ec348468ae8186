"""The lock of a device, and the end of a mailbox (docs/spec/relay.md sections 2 and 10)."""

from typing import Annotated, Final

import msgspec

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.relay.strict import Strict, from_json, to_json
from entrenous.model.lock import Answered, Opening
from entrenous.spec import (
    GENERATION_MAX,
    LOCK_BYTES,
    OPENING_BYTES,
    OPENINGS_MAX,
    UNLOCK_TRIES,
)

_ELEMENT_BYTES: Final = 32


class _Unlock(Strict, frozen=True):
    unlock_lock: str


class _Close(Strict, frozen=True):
    close_lock: str


class _Question(Strict, frozen=True):
    blinded: str


class _Answer(Strict, frozen=True):
    evaluated: str
    tries: Annotated[int, msgspec.Meta(ge=0, le=UNLOCK_TRIES)]


class _Opened(Strict, frozen=True):
    generation: Annotated[int, msgspec.Meta(ge=1, le=GENERATION_MAX)]
    opening: str
    before: Annotated[list[str], msgspec.Meta(max_length=OPENINGS_MAX)]


def write_unlock_lock(lock: bytes) -> bytes:
    """The body that makes a lock."""
    return to_json(_Unlock(b64u(lock)))


def read_unlock_lock(untrusted_body: bytes) -> bytes:
    """The lock of the token that lets a device ask, 32 bytes."""
    return unb64u(from_json(_Unlock, untrusted_body).unlock_lock, LOCK_BYTES)


def write_close_lock(lock: bytes) -> bytes:
    """The body that replaces a close token."""
    return to_json(_Close(b64u(lock)))


def read_close_lock(untrusted_body: bytes) -> bytes:
    """The lock of the token that deletes a mailbox, 32 bytes."""
    return unb64u(from_json(_Close, untrusted_body).close_lock, LOCK_BYTES)


def write_question(blinded: bytes) -> bytes:
    """What a device asks while it unlocks."""
    return to_json(_Question(b64u(blinded)))


def read_question(untrusted_body: bytes) -> bytes:
    """What a device asks: 32 bytes that may be an element."""
    return unb64u(from_json(_Question, untrusted_body).blinded, _ELEMENT_BYTES)


def write_answer(answered: Answered) -> bytes:
    """What it is answered."""
    return to_json(_Answer(b64u(answered.evaluated), answered.tries))


def read_answer(untrusted_body: bytes) -> Answered:
    """What it was answered: 32 bytes that may be an element, and the tries that are left."""
    read = from_json(_Answer, untrusted_body)
    return Answered(unb64u(read.evaluated, _ELEMENT_BYTES), read.tries)


def write_opened(opening: Opening) -> bytes:
    """That a vault opened."""
    before = [b64u(number) for number in opening.before]
    return to_json(_Opened(opening.generation, b64u(opening.number), before))


def read_opened(untrusted_body: bytes) -> Opening:
    """That a vault opened."""
    read = from_json(_Opened, untrusted_body)
    before = tuple(unb64u(number, OPENING_BYTES) for number in read.before)
    return Opening(read.generation, unb64u(read.opening, OPENING_BYTES), before)
