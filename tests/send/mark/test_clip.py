"""Copies of a clip that nobody got: its frames and what is heard in it are both forgotten."""

import pytest

from entrenous.send.mark.clip import mark_clip_copies
from entrenous.send.mark.unwritten import NotWritten
from tests.clips import wander, written
from tests.trace.test_clip import PEOPLE, offline_device


@pytest.mark.parametrize("whole", [0, 1])
def test_what_was_not_written_is_nobodys(whole: int) -> None:
    device = offline_device()
    made = mark_clip_copies(written(wander(seconds=2.0)), PEOPLE, device)
    for _ in range(whole + 1):
        next(made)
    with pytest.raises(NotWritten):
        made.throw(NotWritten())
    known = [[copy.to for copy in one.clips[0].copies] for one in device.ledger.messages()]
    assert known == [PEOPLE[:1]][:whole]
