"""Picture and sound of a marked clip keep the original's timing (docs/spec/clip.md, 5)."""

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
from tests.trace.test_clip import PEOPLE, offline_device

pytestmark = pytest.mark.slow

SMALL = (160, 120)  # pixels
LOST = range(20, 67)  # lost packets of 188: one second of sound, before the flash


@cache
def plain() -> bytes:
    return flash_and_beep(size=SMALL)


ORDINARY: dict[str, Callable[[], bytes]] = {
    "mp4": plain,
    "mov": lambda: delay_streams(plain(), container="mov"),
    "mkv": lambda: delay_streams(plain(), container="matroska"),
    "mp4 in fragments": lambda: delay_streams(plain(), movflags="frag_keyframe+empty_moov"),
    "webm's sound": lambda: flash_and_beep(size=SMALL, codec="libopus", container="matroska"),
    "a little later": lambda: delay_streams(plain(), sound_s=0.02),
    "a packet lost": lambda: delay_streams(plain(), lost=[40, 90], container="matroska"),
}
OFFSET: dict[str, Callable[[], bytes]] = {
    "sound late": lambda: delay_streams(plain(), sound_s=1.0),
    "picture late": lambda: delay_streams(plain(), picture_s=1.0),
    "sound late, mkv": lambda: delay_streams(plain(), sound_s=1.0, container="matroska"),
    "picture late, mkv": lambda: delay_streams(plain(), picture_s=1.0, container="matroska"),
    "gap": lambda: delay_streams(plain(), lost=LOST),
    "gap, mkv": lambda: delay_streams(plain(), lost=LOST, container="matroska"),
    "late, then a gap": lambda: delay_streams(plain(), sound_s=0.5, lost=LOST),
    "early, then a gap": lambda: delay_streams(plain(), picture_s=0.5, lost=LOST),
    "many losses": lambda: delay_streams(plain(), lost=range(4, 80, 4)),
}


def copy_of(source: bytes) -> bytes:
    _, copy = next(mark_clip_copies(source, PEOPLE, offline_device()))
    return copy.data


# ``make test`` covers each kind of offset and each container once: a copy takes a second to make.
EACH_KIND = ("sound late", "picture late, mkv", "gap, mkv", "early, then a gap")


@pytest.mark.parametrize(
    "name",
    [one if one in EACH_KIND else pytest.param(one, marks=pytest.mark.nightly) for one in OFFSET],
)
def test_flash_and_beep_stay_in_sync(name: str) -> None:
    source = OFFSET[name]()
    wanted = beep_after_flash_s(source)
    assert beep_after_flash_s(copy_of(source)) == pytest.approx(wanted, abs=0.06)


@pytest.mark.parametrize("name", ["mp4", "mp4 in fragments"])
def test_ordinary_clip_starts_at_zero(name: str) -> None:
    source = ORDINARY[name]()
    copy = copy_of(source)
    with read_clip(source) as original:
        wanted = [frame.at_s for frame in original.frames]
    with av.open(io.BytesIO(copy)) as clip:
        assert [frame.time for frame in clip.decode(video=0)] == pytest.approx(wanted, abs=1e-4)
    with av.open(io.BytesIO(copy)) as clip:
        sample_times = [frame.pts for frame in clip.decode(audio=0)]
    assert sample_times == list(range(0, 1024 * len(sample_times), 1024))


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_clip_gets_no_silence(name: str) -> None:
    """Encoder priming, container ticks and recorder jitter do not count as gaps."""
    assert read_sound(ORDINARY[name]()).timing == SoundTiming()


@pytest.mark.parametrize("name", OFFSET)
def test_sound_is_read_without_its_silences(name: str) -> None:
    """A sound is read as its decoded samples alone, without the silences between them."""
    source = OFFSET[name]()
    with av.open(io.BytesIO(source)) as clip:
        parts = [frame.to_ndarray()[0] for frame in clip.decode(audio=0)]
    sound = read_sound(source)
    assert sound.timing != SoundTiming()
    assert np.asarray(sound)[:, 0].tobytes() == np.concatenate(parts).clip(-1, 1).tobytes()


@pytest.mark.real
@pytest.mark.parametrize("name", ["sound late", "picture late", "gap"])
def test_decoder_process_reports_the_times(name: str) -> None:
    source = OFFSET[name]()
    assert decode_sound_untrusted(source) == read_sound(source)


@pytest.mark.parametrize(
    "shift", [{"sound_s": 1300.0}, {"sound_s": 3e6}, {"late": 60, "by_s": 2e6}]
)
def test_times_beyond_the_longest_sound_are_refused(shift: dict[str, float]) -> None:
    source = delay_streams(plain(), container="matroska", **shift)
    with pytest.raises(ClipTooLong):
        prepare_clip_with_sound(source, offline_device())


def test_very_late_picture_starts_when_the_sound_ends() -> None:
    sound = read_sound(delay_streams(plain(), picture_s=3000.0))
    assert sound.timing == SoundTiming(ahead=len(sound))
