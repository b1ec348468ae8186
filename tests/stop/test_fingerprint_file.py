"""A file's content and the person's consent decide what is registered."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import DamagedSound, UnsupportedVideoCodec
from entrenous.fingerprint.nouns import (
    ClipPrint,
    MediaFingerprint,
    PicturePrint,
    SoundPrint,
    SoundTooQuiet,
    TooFlat,
    VideoTooFlat,
)
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.clip_reader import read_clip
from entrenous.media.sound_reader import read_sound
from entrenous.stop.protect import fingerprint_file
from entrenous.stop.registration import Consent, FileHasOnlySound, NotEverybodyAdult
from tests.clips import beep, wander, written
from tests.stop.platform_for_tests import new_device, picture, png
from tests.trace.test_trace_file import with_sound

ALL = Consent(adult=True, parts=True)
VOICE = voice(6.0, 48_000)


@cache
def silent_video() -> bytes:
    return written(wander(seconds=1.5))


@cache
def voice_note() -> bytes:
    return coded(VOICE, 48_000, "libopus", "ogg", 32_000)


@cache
def black_video() -> bytes:
    return written(np.zeros((12, 96, 128, 3), np.uint8))


def fingerprint_of(data: bytes, consent: Consent = ALL) -> MediaFingerprint:
    return fingerprint_file(
        data, consent, replace(new_device(), read_clip=read_clip, read_sound=read_sound)
    )


@pytest.fixture(scope="module")
def video_with_voice() -> bytes:
    return with_sound(silent_video(), voice(6.0)[:, None])


@pytest.mark.slow
def test_picture_is_hashed_with_parts_only_by_consent(her_picture: Any) -> None:
    whole = fingerprint(picture(her_picture))
    agreed = fingerprint_of(png(her_picture))
    assert isinstance(agreed, PicturePrint)
    assert (agreed.whole, len(agreed.parts) > 400) == (whole, True)
    assert fingerprint_of(png(her_picture), replace(ALL, parts=False)) == PicturePrint(whole)


@pytest.mark.slow
def test_video_is_hashed_with_sound_and_inner_frames_by_consent(video_with_voice: bytes) -> None:
    agreed = fingerprint_of(video_with_voice)
    assert isinstance(agreed, ClipPrint)
    assert agreed.sound is not None
    assert len(agreed.video.inner) == len(agreed.video.frames) >= 3
    assert len(agreed.sound) > 20
    less = fingerprint_of(video_with_voice, Consent(adult=True, parts=False, sound=False))
    assert isinstance(less, ClipPrint)
    assert (less.sound, less.video.inner) == (None, ())
    assert less.video.hashes == agreed.video.hashes


@pytest.mark.slow
def test_silent_video_gets_no_sound_fingerprint() -> None:
    agreed = fingerprint_of(silent_video())
    assert isinstance(agreed, ClipPrint)
    assert agreed.sound is None


def test_only_the_sound_of_a_black_video_is_fingerprinted() -> None:
    black_with_voice = with_sound(black_video(), voice(6.0)[:, None])
    assert isinstance(fingerprint_of(black_with_voice), SoundPrint)
    for data, consent in ((black_with_voice, replace(ALL, sound=False)), (black_video(), ALL)):
        with pytest.raises(VideoTooFlat):
            fingerprint_of(data, consent)


@pytest.mark.slow
def test_sound_is_fingerprinted_in_any_container() -> None:
    note = fingerprint_of(voice_note())
    assert isinstance(note, SoundPrint)
    assert len(note) > 20
    for container in ("mp4", "matroska"):
        again = fingerprint_of(coded(VOICE, 48_000, "aac", container, 96_000))
        assert isinstance(again, SoundPrint)
        alike = np.frombuffer(note.words, ">u4")[:20] ^ np.frombuffer(again.words, ">u4")[:20]
        assert np.bitwise_count(alike).mean() < 4.0  # of 32 bits
    with pytest.raises(SoundTooQuiet, match="distinctive sound"):
        fingerprint_of(beep())


def test_video_with_an_unknown_codec_is_not_taken_for_a_sound() -> None:
    with pytest.raises(UnsupportedVideoCodec, match=r"save it from there as\s+MP4"):
        fingerprint_of(written(wander(seconds=0.5), codec="ffv1", container="matroska"))


def test_sound_file_without_consent_to_sound_is_refused() -> None:
    with pytest.raises(FileHasOnlySound, match="--no-sound"):
        fingerprint_of(voice_note(), replace(ALL, sound=False))


def test_nothing_is_decoded_for_somebody_under_eighteen() -> None:
    for data in (silent_video(), voice_note(), b"anything"):
        with pytest.raises(NotEverybodyAdult, match=r"takeitdown\.ncmec\.org"):
            fingerprint_of(data, replace(ALL, adult=False))


def test_flat_picture_and_broken_sound_are_refused() -> None:
    with pytest.raises(TooFlat):
        fingerprint_of(png(np.full((200, 200, 3), 90, np.uint8)))
    with pytest.raises(DamagedSound):
        fingerprint_of(b"OggS" + bytes(100))
