"""The parent's ends of the pipes: exact reads, timeouts, and no unread data overlooked."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from entrenous.media.sandbox.child_process import PIPE_CAPACITY_BYTES, Pipes

Ends = tuple[Pipes, int, int]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Yield the pipes, and the child's ends for requests and answers."""
    asked, questions = os.pipe()
    answers, answered = os.pipe()
    pipes = Pipes(questions, answers)
    pipes.set_deadline(30)
    yield pipes, asked, answered
    for end in (asked, questions, answers, answered):
        with suppress(OSError):  # closed by a test
            os.close(end)


def test_read_returns_exactly_the_size_and_keeps_the_rest(ends: Ends) -> None:
    pipes, _, answered = ends
    os.write(answered, b"Rabcdefgh")
    assert pipes.read(1) == b"R"
    assert pipes.has_unread_bytes()
    assert pipes.read(0) == b""
    assert (pipes.read(3), pipes.read(5)) == (b"abc", b"defgh")
    assert not pipes.has_unread_bytes()
    os.write(answered, b"x")
    assert pipes.has_unread_bytes()


def test_data_larger_than_the_pipe_arrives_whole(ends: Ends) -> None:
    pipes, asked, answered = ends
    data = os.urandom(3 * PIPE_CAPACITY_BYTES + 17)

    def mirror() -> None:
        left = len(data)
        while left:
            part = os.read(asked, 1 << 16)
            left -= len(part)
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(answered, rest) :]

    child = threading.Thread(target=mirror)
    child.start()
    asking = threading.Thread(target=pipes.write, args=(data,))
    asking.start()
    assert pipes.read(5) + pipes.read(len(data) - 5) == data
    asking.join()
    child.join()


def test_silent_child_times_out(ends: Ends) -> None:
    pipes, _, _ = ends
    pipes.set_deadline(0.05)
    with pytest.raises(TimeoutError):
        pipes.read(1)


@pytest.mark.slow
def test_child_sending_single_bytes_times_out(ends: Ends) -> None:
    """A single wait never times out, because there is always something to read."""
    pipes, _, answered = ends
    over = threading.Event()

    def trickle() -> None:
        while not over.is_set():
            os.write(answered, b"x")

    child = threading.Thread(target=trickle)
    child.start()
    pipes.set_deadline(0.2)
    try:
        with pytest.raises(TimeoutError):
            pipes.read(1 << 40)
    finally:
        over.set()
        os.set_blocking(pipes._answers, False)
        with suppress(BlockingIOError):  # unblocks a writer that waits for room
            while os.read(pipes._answers, PIPE_CAPACITY_BYTES):
                pass
        child.join()


def test_child_that_reads_nothing_times_out(ends: Ends) -> None:
    pipes, _, _ = ends
    pipes.set_deadline(0.05)
    with pytest.raises(TimeoutError):
        pipes.write(bytes(8 * PIPE_CAPACITY_BYTES))


def test_ended_child_is_noticed(ends: Ends) -> None:
    pipes, _, answered = ends
    os.write(answered, b"abc")
    os.close(answered)
    assert pipes.read(2) == b"ab"
    with pytest.raises(EOFError):
        pipes.read(2)
