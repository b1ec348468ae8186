"""Tests of written clips: frames, times, frame types, sound, and metadata."""

import io

import av
import numpy as np
import pytest

from entrenous.base.audio_video import FramePrediction, Silence, SoundTiming
from entrenous.media.clip_reader import read_clip
from entrenous.media.clip_writer import ClipSoundTrack, ClipWriter
from tests.clips import encode_clip, hand_held_frames

FRAME_TIMES_S = [0.0, 0.1, 0.15, 0.4, 0.5, 0.9]


def write_copy(sound: ClipSoundTrack | None = None) -> bytes:
    with read_clip(encode_clip(hand_held_frames(seconds=0.5), times=FRAME_TIMES_S)) as clip:
        writer = ClipWriter(clip.shown, 14, sound)
        for frame in clip.frames:
            luma = np.asarray(frame)
            writer.add(luma, np.frombuffer(frame.planes, np.uint8)[luma.size :], frame.at_s)
        return writer.finish()


def test_times_and_frames_are_kept() -> None:
    with read_clip(write_copy()) as clip:
        read = list(clip.frames)
    assert [frame.at_s for frame in read] == pytest.approx(FRAME_TIMES_S, abs=1e-3)
    with read_clip(encode_clip(hand_held_frames(seconds=0.5), times=FRAME_TIMES_S)) as clip:
        for one, other in zip(read, clip.frames, strict=True):
            error = np.asarray(one).astype(float) - np.asarray(other)
            assert np.mean(error**2) < 3.0


def test_copy_has_the_frame_types_of_its_source() -> None:
    whole, on, both = FramePrediction.WHOLE, FramePrediction.FORWARD, FramePrediction.BOTH_WAYS
    wanted = [whole, both, on, on, both, both, both, both, both, on, whole, both, on]
    frames = encode_clip(hand_held_frames(seconds=1.5), **{"x264-params": "bframes=0"})
    with read_clip(frames) as clip:
        writer = ClipWriter(clip.shown, 16)
        for frame, coded in zip(clip.frames, wanted, strict=False):
            luma = np.asarray(frame)
            chroma = np.frombuffer(frame.planes, np.uint8)[luma.size :]
            writer.add(luma, chroma, frame.at_s, coded)
        data = writer.finish()
    with read_clip(data) as clip:
        assert [frame.coded for frame in clip.frames] == wanted


def test_file_names_no_encoder_and_no_creation_time() -> None:
    data = write_copy()
    for word in (b"x264", b"Lavf", b"Lavc", b"encoder", b"crf", b"udta", b"Handler"):
        assert word not in data
    with av.open(io.BytesIO(data)) as clip:
        assert "creation_time" not in clip.metadata


def test_sound_is_kept_in_the_copy() -> None:
    tone = 0.5 * np.sin(np.arange(44_100) * 0.06).astype(np.float32)
    data = write_copy(ClipSoundTrack(np.stack([tone, 0.5 * tone], axis=1), 44_100))
    with av.open(io.BytesIO(data)) as clip:
        samples = np.concatenate([frame.to_ndarray() for frame in clip.decode(audio=0)], axis=1)
    assert samples.shape[0] == 2
    assert samples.shape[1] == pytest.approx(44_100, abs=3000)
    assert np.std(samples[0, 5000:40_000]) == pytest.approx(0.354, abs=0.02)


def test_silences_are_placed_with_sample_accuracy() -> None:
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (24_000, 1)).astype(np.float32)
    silences = tuple(Silence(place, 2400 + place % 7) for place in range(0, 24_000, 3000))
    whole = np.concatenate(
        [
            np.concatenate([np.zeros((one.length, 1)), noise[one.before : one.before + 3000]])
            for one in silences
        ]
    )
    samples = decode_sound(write_copy(ClipSoundTrack(noise, 48_000, SoundTiming(0, silences))))[
        : len(whole)
    ]
    assert len(samples) == len(whole)
    apart = np.correlate(samples, whole[500:-500, 0], "valid")
    assert int(apart.argmax()) == 500
    loud = np.abs(whole[:, 0]) > 0
    assert np.std(samples[~loud]) < 0.3 * np.std(samples[loud])


def test_early_sound_delays_the_frames() -> None:
    tone = 0.5 * np.sin(np.arange(48_000) * 0.06).astype(np.float32)[:, None]
    plain, ahead = (
        write_copy(ClipSoundTrack(tone, 48_000, timing))
        for timing in (SoundTiming(), SoundTiming(ahead=24_000))
    )
    assert decode_sound(plain).tobytes() == decode_sound(ahead).tobytes()
    assert frame_times(plain) == pytest.approx(FRAME_TIMES_S, abs=1e-3)
    assert frame_times(ahead) == pytest.approx([0.5 + at_s for at_s in FRAME_TIMES_S], abs=1e-3)
    with read_clip(ahead) as clip:
        assert [frame.at_s for frame in clip.frames] == pytest.approx(FRAME_TIMES_S, abs=1e-3)


def decode_sound(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as clip:
        return np.concatenate([frame.to_ndarray()[0] for frame in clip.decode(audio=0)])


def frame_times(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data)) as clip:
        return [float(frame.time) for frame in clip.decode(video=0)]
