"""The file's content and the person's consent decide which fingerprints are made."""

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
from tests.clips import encode_clip, hand_held_frames, sound_only_clip
from tests.stop.platform_for_tests import new_device, picture, png
from tests.trace.test_trace_file import add_sound_to_clip

FULL_CONSENT = Consent(adult=True, parts=True)
VOICE_SAMPLES = voice(6.0, 48_000)


@cache
def silent_video() -> bytes:
    return encode_clip(hand_held_frames(seconds=1.5))


@cache
def voice_note() -> bytes:
    return coded(VOICE_SAMPLES, 48_000, "libopus", "ogg", 32_000)


@cache
def black_video() -> bytes:
    return encode_clip(np.zeros((12, 96, 128, 3), np.uint8))


def make_fingerprint(file_bytes: bytes, consent: Consent = FULL_CONSENT) -> MediaFingerprint:
    return fingerprint_file(
        file_bytes, consent, replace(new_device(), read_clip=read_clip, read_sound=read_sound)
    )


@pytest.fixture(scope="module")
def video_with_voice() -> bytes:
    return add_sound_to_clip(silent_video(), voice(6.0)[:, None])


@pytest.mark.slow
def test_picture_is_hashed_with_parts_only_by_consent(her_picture: Any) -> None:
    whole = fingerprint(picture(her_picture))
    agreed = make_fingerprint(png(her_picture))
    assert isinstance(agreed, PicturePrint)
    assert (agreed.whole, len(agreed.parts) > 400) == (whole, True)
    assert make_fingerprint(png(her_picture), replace(FULL_CONSENT, parts=False)) == PicturePrint(
        whole
    )


@pytest.mark.slow
def test_video_is_hashed_with_sound_and_inner_frames_by_consent(video_with_voice: bytes) -> None:
    agreed = make_fingerprint(video_with_voice)
    assert isinstance(agreed, ClipPrint)
    assert agreed.sound is not None
    assert len(agreed.video.inner) == len(agreed.video.frames) >= 3
    assert len(agreed.sound) > 20
    less = make_fingerprint(video_with_voice, Consent(adult=True, parts=False, sound=False))
    assert isinstance(less, ClipPrint)
    assert (less.sound, less.video.inner) == (None, ())
    assert less.video.hashes == agreed.video.hashes


@pytest.mark.slow
def test_silent_video_gets_no_sound_fingerprint() -> None:
    agreed = make_fingerprint(silent_video())
    assert isinstance(agreed, ClipPrint)
    assert agreed.sound is None


def test_only_the_sound_of_a_black_video_is_fingerprinted() -> None:
    black_with_voice = add_sound_to_clip(black_video(), voice(6.0)[:, None])
    assert isinstance(make_fingerprint(black_with_voice), SoundPrint)
    for data, consent in (
        (black_with_voice, replace(FULL_CONSENT, sound=False)),
        (black_video(), FULL_CONSENT),
    ):
        with pytest.raises(VideoTooFlat):
            make_fingerprint(data, consent)


@pytest.mark.slow
def test_sound_has_a_similar_fingerprint_in_each_container() -> None:
    note = make_fingerprint(voice_note())
    assert isinstance(note, SoundPrint)
    assert len(note) > 20
    for container in ("mp4", "matroska"):
        again = make_fingerprint(coded(VOICE_SAMPLES, 48_000, "aac", container, 96_000))
        assert isinstance(again, SoundPrint)
        differing_bits = (
            np.frombuffer(note.words, ">u4")[:20] ^ np.frombuffer(again.words, ">u4")[:20]
        )
        # On average, fewer than 4 of the 32 bits of a word differ.
        assert np.bitwise_count(differing_bits).mean() < 4.0


def test_video_with_an_unknown_codec_is_not_taken_for_a_sound() -> None:
    with pytest.raises(UnsupportedVideoCodec, match=r"save it from there as\s+MP4"):
        make_fingerprint(
            encode_clip(hand_held_frames(seconds=0.5), codec="ffv1", container="matroska")
        )


def test_sound_file_without_consent_to_sound_is_refused() -> None:
    with pytest.raises(FileHasOnlySound, match="--no-sound"):
        make_fingerprint(voice_note(), replace(FULL_CONSENT, sound=False))


def test_nothing_is_decoded_for_somebody_under_eighteen() -> None:
    for data in (silent_video(), voice_note(), b"anything"):
        with pytest.raises(NotEverybodyAdult, match=r"takeitdown\.ncmec\.org"):
            make_fingerprint(data, replace(FULL_CONSENT, adult=False))


def test_flat_picture_and_broken_or_quiet_sound_are_refused() -> None:
    with pytest.raises(TooFlat):
        make_fingerprint(png(np.full((200, 200, 3), 90, np.uint8)))
    with pytest.raises(DamagedSound):
        make_fingerprint(b"OggS" + bytes(100))
    with pytest.raises(SoundTooQuiet, match="distinctive sound"):
        make_fingerprint(sound_only_clip())
