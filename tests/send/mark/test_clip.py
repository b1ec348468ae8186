"""Copies of a clip: its frames and what is heard in it go together, and are forgotten together."""

import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.model.sound import SoundUnknown
from entrenous.send.mark.clip import mark_clip_copies
from entrenous.send.mark.unwritten import NotWritten
from entrenous.trace.any import trace_file
from tests.clips import beside, wander, written
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


def test_sound_that_is_not_read_makes_no_silent_copies_and_hinders_no_trace() -> None:
    device = offline_device()
    surround = coded(voice(2.0, 48_000), 48_000, "ac3", "mp4", 96_000)
    silent = written(wander(seconds=2.0))
    with pytest.raises(SoundUnknown):
        next(mark_clip_copies(beside(silent, surround), PEOPLE, device))
    assert list(device.ledger.messages()) == []
    copies = {copy.to: copy.data for _, copy in mark_clip_copies(silent, PEOPLE, device)}
    posted = beside(copies[PEOPLE[1]], surround)
    assert trace_file(posted, device).trace.verdict.named == (PEOPLE[1],)
