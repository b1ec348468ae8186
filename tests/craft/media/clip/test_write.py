"""Written clips hold the frames, their times and the sound, and nothing else."""

import io

import av
import numpy as np
import pytest

from entrenous.craft.media.clip.read import read_clip
from entrenous.craft.media.clip.write import ClipWriter
from entrenous.model.clip import Coded
from tests.clips import wander, written

TIMES = [0.0, 0.1, 0.15, 0.4, 0.5, 0.9]


def copied(sound: tuple[np.ndarray, int] | None = None) -> bytes:
    with read_clip(written(wander(seconds=0.5), times=TIMES)) as clip:
        writer = ClipWriter(clip.shown, 14, sound)
        for frame in clip.frames:
            luma = np.asarray(frame)
            writer.add(luma, np.frombuffer(frame.planes, np.uint8)[luma.size :], frame.at_s)
        return writer.finish()


def test_times_and_frames_stay() -> None:
    with read_clip(copied()) as clip:
        read = list(clip.frames)
    assert [frame.at_s for frame in read] == pytest.approx(TIMES, abs=1e-3)
    with read_clip(written(wander(seconds=0.5), times=TIMES)) as clip:
        for one, other in zip(read, clip.frames, strict=True):
            error = np.asarray(one).astype(float) - np.asarray(other)
            assert np.mean(error**2) < 3.0


def test_a_copy_is_coded_in_step_with_its_source() -> None:
    whole, on, both = Coded.WHOLE, Coded.FORWARD, Coded.BOTH_WAYS
    wanted = [whole, both, on, on, both, both, both, both, both, on, whole, both, on]
    frames = written(wander(seconds=1.5), **{"x264-params": "bframes=0"})
    with read_clip(frames) as clip:
        writer = ClipWriter(clip.shown, 16)
        for frame, coded in zip(clip.frames, wanted, strict=False):
            luma = np.asarray(frame)
            chroma = np.frombuffer(frame.planes, np.uint8)[luma.size :]
            writer.add(luma, chroma, frame.at_s, coded)
        data = writer.finish()
    with read_clip(data) as clip:
        assert [frame.coded for frame in clip.frames] == wanted


def test_nothing_else_is_inside() -> None:
    data = copied()
    for word in (b"x264", b"Lavf", b"Lavc", b"encoder", b"crf", b"udta", b"Handler"):
        assert word not in data
    with av.open(io.BytesIO(data)) as clip:
        assert "creation_time" not in clip.metadata


def test_the_sound_is_carried_over() -> None:
    tone = 0.5 * np.sin(np.arange(44_100) * 0.06).astype(np.float32)
    data = copied((np.stack([tone, 0.5 * tone], axis=1), 44_100))
    with av.open(io.BytesIO(data)) as clip:
        heard = np.concatenate([frame.to_ndarray() for frame in clip.decode(audio=0)], axis=1)
    assert heard.shape[0] == 2
    assert heard.shape[1] == pytest.approx(44_100, abs=3000)
    assert np.std(heard[0, 5000:40_000]) == pytest.approx(0.354, abs=0.02)
