"""Marked clips keep the timing of picture and sound (docs/spec/clip.md, section 5)."""

import io
from collections.abc import Callable
from functools import cache

import av
import numpy as np
import pytest

from entrenous.base.audio_video import ClipTooLong, SoundTiming
from entrenous.media.clip_reader import read_clip
from entrenous.media.sandbox.decoders import decode_sound_untrusted
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_clip import mark_clip_copies, prepare_clip_with_sound
from tests.timelines import beep_after_flash_s, delay_streams, flash_and_beep
from tests.trace.test_clip import RECIPIENTS, offline_device

pytestmark = pytest.mark.slow

FRAME_SIZE = (160, 120)  # pixels
LOST_PACKETS = range(20, 67)  # 47 of 188 packets: one second of sound, which ends before the flash


@cache
def plain_clip() -> bytes:
    return flash_and_beep(size=FRAME_SIZE)


ORDINARY_CLIPS: dict[str, Callable[[], bytes]] = {
    "mp4": plain_clip,
    "mov": lambda: delay_streams(plain_clip(), container="mov"),
    "mkv": lambda: delay_streams(plain_clip(), container="matroska"),
    "mp4 in fragments": lambda: delay_streams(plain_clip(), movflags="frag_keyframe+empty_moov"),
    "webm's sound": lambda: flash_and_beep(size=FRAME_SIZE, codec="libopus", container="matroska"),
    "a little later": lambda: delay_streams(plain_clip(), sound_s=0.02),
    "two packets lost": lambda: delay_streams(
        plain_clip(), lost_packets=[40, 90], container="matroska"
    ),
}
OFFSET_CLIPS: dict[str, Callable[[], bytes]] = {
    "sound late": lambda: delay_streams(plain_clip(), sound_s=1.0),
    "picture late": lambda: delay_streams(plain_clip(), picture_s=1.0),
    "sound late, mkv": lambda: delay_streams(plain_clip(), sound_s=1.0, container="matroska"),
    "picture late, mkv": lambda: delay_streams(plain_clip(), picture_s=1.0, container="matroska"),
    "gap": lambda: delay_streams(plain_clip(), lost_packets=LOST_PACKETS),
    "gap, mkv": lambda: delay_streams(
        plain_clip(), lost_packets=LOST_PACKETS, container="matroska"
    ),
    "late, then a gap": lambda: delay_streams(plain_clip(), sound_s=0.5, lost_packets=LOST_PACKETS),
    "early, then a gap": lambda: delay_streams(
        plain_clip(), picture_s=0.5, lost_packets=LOST_PACKETS
    ),
    "many losses": lambda: delay_streams(plain_clip(), lost_packets=range(4, 80, 4)),
}


def make_marked_copy(source: bytes) -> bytes:
    _, copy = next(mark_clip_copies(source, RECIPIENTS, offline_device()))
    return copy.data


# ``make test`` runs only these cases of the following test.
CLIPS_IN_EVERY_RUN = ("sound late", "picture late, mkv", "gap, mkv", "early, then a gap")


@pytest.mark.parametrize(
    "clip_name",
    [
        one if one in CLIPS_IN_EVERY_RUN else pytest.param(one, marks=pytest.mark.nightly)
        for one in OFFSET_CLIPS
    ],
)
def test_flash_and_beep_stay_in_sync(clip_name: str) -> None:
    source = OFFSET_CLIPS[clip_name]()
    wanted = beep_after_flash_s(source)
    assert beep_after_flash_s(make_marked_copy(source)) == pytest.approx(wanted, abs=0.06)


@pytest.mark.parametrize("clip_name", ["mp4", "mp4 in fragments"])
def test_ordinary_clip_keeps_its_frame_times_and_its_sound_starts_at_zero(clip_name: str) -> None:
    source = ORDINARY_CLIPS[clip_name]()
    copy = make_marked_copy(source)
    with read_clip(source) as original:
        wanted = [frame.at_s for frame in original.frames]
    with av.open(io.BytesIO(copy)) as clip:
        assert [frame.time for frame in clip.decode(video=0)] == pytest.approx(wanted, abs=1e-4)
    with av.open(io.BytesIO(copy)) as clip:
        sample_times = [frame.pts for frame in clip.decode(audio=0)]
    assert sample_times == list(range(0, 1024 * len(sample_times), 1024))


@pytest.mark.parametrize("clip_name", ORDINARY_CLIPS)
def test_ordinary_clip_gets_no_silence(clip_name: str) -> None:
    """Encoder priming, rounded times, an offset of 20 ms and single lost packets add no silence."""
    assert read_sound(ORDINARY_CLIPS[clip_name]()).timing == SoundTiming()


@pytest.mark.parametrize("clip_name", OFFSET_CLIPS)
def test_sound_is_read_without_its_silences(clip_name: str) -> None:
    source = OFFSET_CLIPS[clip_name]()
    with av.open(io.BytesIO(source)) as clip:
        parts = [frame.to_ndarray()[0] for frame in clip.decode(audio=0)]
    sound = read_sound(source)
    assert sound.timing != SoundTiming()
    assert np.asarray(sound)[:, 0].tobytes() == np.concatenate(parts).clip(-1, 1).tobytes()


@pytest.mark.real
@pytest.mark.parametrize("clip_name", ["sound late", "picture late", "gap"])
def test_decoder_process_reports_the_times(clip_name: str) -> None:
    source = OFFSET_CLIPS[clip_name]()
    assert decode_sound_untrusted(source) == read_sound(source)


@pytest.mark.parametrize(
    "offsets", [{"sound_s": 1300.0}, {"sound_s": 3e6}, {"first_late_packet": 60, "lateness_s": 2e6}]
)
def test_times_beyond_the_longest_sound_are_refused(offsets: dict[str, float]) -> None:
    source = delay_streams(plain_clip(), container="matroska", **offsets)
    with pytest.raises(ClipTooLong):
        prepare_clip_with_sound(source, offline_device())


def test_very_late_picture_starts_when_the_sound_ends() -> None:
    sound = read_sound(delay_streams(plain_clip(), picture_s=3000.0))
    assert sound.timing == SoundTiming(ahead=len(sound))
