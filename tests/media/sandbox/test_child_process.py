"""Tests of the pipes to a child process: reads, large data, deadlines, and a child that ended."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from entrenous.media.sandbox.child_process import PIPE_CAPACITY_BYTES, Pipes

PipesAndChildEnds = tuple[Pipes, int, int]


@pytest.fixture
def pipes_and_child_ends() -> Iterator[PipesAndChildEnds]:
    """Yield the parent's pipes, the child's end for requests, and the child's end for answers."""
    request_reader, request_writer = os.pipe()
    answer_reader, answer_writer = os.pipe()
    pipes = Pipes(request_writer, answer_reader)
    pipes.set_deadline(30)
    yield pipes, request_reader, answer_writer
    for end in (request_reader, request_writer, answer_reader, answer_writer):
        with suppress(OSError):  # a test may have closed this end
            os.close(end)


def test_read_returns_the_requested_size_and_keeps_the_rest(
    pipes_and_child_ends: PipesAndChildEnds,
) -> None:
    pipes, _, answer_writer = pipes_and_child_ends
    os.write(answer_writer, b"Rabcdefgh")
    assert pipes.read(1) == b"R"
    assert pipes.has_input_or_hangup()
    assert pipes.read(0) == b""
    assert (pipes.read(3), pipes.read(5)) == (b"abc", b"defgh")
    assert not pipes.has_input_or_hangup()
    os.write(answer_writer, b"x")
    assert pipes.has_input_or_hangup()


def test_data_larger_than_the_pipe_arrives_whole(pipes_and_child_ends: PipesAndChildEnds) -> None:
    pipes, request_reader, answer_writer = pipes_and_child_ends
    data = os.urandom(3 * PIPE_CAPACITY_BYTES + 17)

    def echo_requests() -> None:
        left = len(data)
        while left:
            part = os.read(request_reader, 1 << 16)
            left -= len(part)
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(answer_writer, rest) :]

    child = threading.Thread(target=echo_requests)
    child.start()
    request_thread = threading.Thread(target=pipes.write, args=(data,))
    request_thread.start()
    assert pipes.read(5) + pipes.read(len(data) - 5) == data
    request_thread.join()
    child.join()


def test_read_from_a_silent_child_times_out(pipes_and_child_ends: PipesAndChildEnds) -> None:
    pipes, _, _ = pipes_and_child_ends
    pipes.set_deadline(0.05)
    with pytest.raises(TimeoutError):
        pipes.read(1)


@pytest.mark.slow
def test_child_sending_single_bytes_times_out(pipes_and_child_ends: PipesAndChildEnds) -> None:
    """Bytes keep arriving, but the deadline applies to the whole read."""
    pipes, _, answer_writer = pipes_and_child_ends
    stopped = threading.Event()

    def write_single_bytes() -> None:
        while not stopped.is_set():
            os.write(answer_writer, b"x")

    child = threading.Thread(target=write_single_bytes)
    child.start()
    pipes.set_deadline(0.2)
    try:
        with pytest.raises(TimeoutError):
            pipes.read(1 << 40)
    finally:
        stopped.set()
        os.set_blocking(pipes._answers, False)
        with suppress(BlockingIOError):  # empties the pipe, so that the writer can end
            while os.read(pipes._answers, PIPE_CAPACITY_BYTES):
                pass
        child.join()


def test_write_to_a_child_that_reads_nothing_times_out(
    pipes_and_child_ends: PipesAndChildEnds,
) -> None:
    pipes, _, _ = pipes_and_child_ends
    pipes.set_deadline(0.05)
    with pytest.raises(TimeoutError):
        pipes.write(bytes(8 * PIPE_CAPACITY_BYTES))


def test_read_after_the_child_ended_raises_eof_error(
    pipes_and_child_ends: PipesAndChildEnds,
) -> None:
    pipes, _, answer_writer = pipes_and_child_ends
    os.write(answer_writer, b"abc")
    os.close(answer_writer)
    assert pipes.read(2) == b"ab"
    with pytest.raises(EOFError):
        pipes.read(2)
