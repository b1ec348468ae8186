"""A child's two ends of its pipes: the question comes in, the answer leaves, nothing else does."""

import os
from typing import Final

QUESTIONS: Final = 0
_PART_BYTES: Final = 1 << 20


def set_answers_apart() -> int:
    """The descriptor for answers; what a library prints must not become part of one."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def read_from(descriptor: int, size: int) -> bytes:
    """``size`` bytes, or fewer when the input ends before."""
    data = bytearray()
    while len(data) < size and (part := os.read(descriptor, min(_PART_BYTES, size - len(data)))):
        data += part
    return bytes(data)


def write_to(descriptor: int, data: bytes) -> None:
    """All of it, however little the pipe takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
