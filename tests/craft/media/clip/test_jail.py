"""Clips in the jail: the same frames, the same errors, and a child that may lie. Real processes."""

import sys

import pytest

from entrenous.craft.media.clip.jail import decode_clip_untrusted
from entrenous.craft.media.clip.read import read_clip
from entrenous.craft.media.jailed.walls import Limits
from entrenous.model.clip import ClipBroken, ClipCutShort, Cut, NoFrames
from tests.clips import beep, wander, written

pytestmark = pytest.mark.real

FRAMES = wander(seconds=0.5)


@pytest.mark.parametrize(("codec", "container"), [("libx264", "mp4"), ("libvpx-vp9", "webm")])
def test_frames_come_out_as_without_a_jail(codec: str, container: str) -> None:
    data, cut = written(FRAMES, codec=codec, container=container), Cut(0.1, side_px=200)
    with decode_clip_untrusted(data, cut) as jailed, read_clip(data, cut) as free:
        assert jailed.shown == free.shown
        assert list(jailed.frames) == list(free.frames)


def test_errors_come_through() -> None:
    for data, error in ((beep(), NoFrames), (written(FRAMES)[:-300], ClipCutShort)):
        with pytest.raises(error), decode_clip_untrusted(data) as clip:
            list(clip.frames)


@pytest.mark.parametrize(
    "lie",
    [
        "b''",
        "b'X'",
        "b'V' + bytes(60)",
        "b'V' + struct.pack('>IIIIdBBBII', 64, 64, 25, 1, 1.0, 1, 1, 1, 1, 1) + b'F'",
        "b'V' + struct.pack('>IIIIdBBBII', 64, 64, 25, 1, 1.0, 1, 1, 1, 1, 1) + b'Fx' * 9000",
        "b'V' + struct.pack('>4Id3BII1sdB', 4, 4, 9, 1, 1, 1, 1, 1, 1, 1, b'F', 0, 4) + bytes(25)",
        "b'V' + struct.pack('>IIIIdBBBII', 65536, 65536, 25, 1, 1.0, 1, 1, 1, 1, 1)",
    ],
)
def test_a_child_that_lies_is_not_believed(lie: str) -> None:
    code = f"import os, struct, sys; os.write(1, b'R\\x01'); os.read(0, 9); os.write(1, {lie})"
    limits = Limits(wall_s=5.0)
    command = (sys.executable, "-I", "-c", code)
    with (
        pytest.raises(ClipBroken),
        decode_clip_untrusted(written(FRAMES), limits=limits, command=command) as clip,
    ):
        list(clip.frames)


def test_whoever_stops_early_leaves_no_child_behind() -> None:
    with decode_clip_untrusted(written(FRAMES * 20)) as clip:
        assert next(clip.frames).at_s == 0.0
