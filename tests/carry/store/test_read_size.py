"""Test that the relay reads larger pieces of a blob for fast readers, but not for slow ones."""

from entrenous.carry.store.file_blobs import (
    LONGEST_READ_BYTES,
    SHORTEST_READ_BYTES,
    AdaptiveReadSize,
)


def test_read_size_grows_for_fast_readers_only() -> None:
    clock = [0.0]
    stride, sizes = AdaptiveReadSize(lambda: clock[0]), []
    for took_s in (0.0, 0.01, 0.05, 0.05, 0.05, 0.05, 3.0, 0.2, 0.01):
        sizes.append(stride.bytes)
        clock[0] += 9  # the time before the piece is passed to the reader does not count
        stride.note_piece_passed()
        clock[0] += took_s
        stride.note_piece_requested()
    grown = [SHORTEST_READ_BYTES << step for step in range(5)]
    assert grown[-1] == LONGEST_READ_BYTES
    assert sizes == [
        *grown,
        LONGEST_READ_BYTES,
        LONGEST_READ_BYTES,
        SHORTEST_READ_BYTES,
        SHORTEST_READ_BYTES,
    ]
