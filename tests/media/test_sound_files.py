"""Tests of reading and writing sound files: codecs, samples, bit rates, tags and refusals."""

import io
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import (
    DamagedSound,
    NoSoundFound,
    Sound,
    SoundEncoding,
    SoundFormat,
    SoundTooLong,
    UnsupportedSoundCodec,
)
from entrenous.media.sandbox.decoder_messages import sound_container_of
from entrenous.media.sound_reader import read_sound
from entrenous.media.sound_writer import write_sound, written_format
from tests.clips import encode_clip, hand_held_frames, merge_streams

VOICE = voice(1.5, 48_000)
#: Arguments of the encoder (codec, container, bit/s, Hz if not 48,000), and the expected format.
ENCODINGS_BY_NAME = {
    "ogg": (("libopus", "ogg", 32_000), SoundFormat.OPUS),
    "webm": (("libopus", "webm", 32_000), SoundFormat.OPUS),
    "m4a": (("aac", "ipod", 64_000), SoundFormat.AAC),
    "mp4": (("aac", "mp4", 64_000), SoundFormat.AAC),
    "adts": (("aac", "adts", 64_000), SoundFormat.AAC),
    "mp3": (("libmp3lame", "mp3", 64_000), SoundFormat.MP3),
    "amr": (("libopencore_amrnb", "amr", 12_200, 8000), SoundFormat.AMR),
    "3gp": (("libopencore_amrnb", "3gp", 12_200, 8000), SoundFormat.AMR),
    "wav": (("pcm_s16le", "wav", 0), SoundFormat.WAV),
    "flac": (("flac", "flac", 0), SoundFormat.FLAC),
}


def encoded_voice(name: str) -> bytes:
    return coded(VOICE, 48_000, *ENCODINGS_BY_NAME[name][0])


def voice_sound(
    kind: SoundFormat, *, bit_rate: int = 0, deep: bool = False, channels: int = 1
) -> Sound:
    samples = np.repeat(VOICE[:, None], channels, axis=1)
    return Sound(48_000, channels, samples.tobytes(), SoundEncoding(kind, bit_rate, deep))


@pytest.mark.parametrize("name", ENCODINGS_BY_NAME)
def test_every_codec_is_read(name: str) -> None:
    sound = read_sound(encoded_voice(name))
    assert sound.encoding.format is ENCODINGS_BY_NAME[name][1]
    assert sound.channels == 1
    assert sound.length_s == pytest.approx(1.5, abs=0.1)
    assert np.asarray(sound).shape == (len(sound), 1)
    loud = float(np.sqrt(np.mean(VOICE**2)))
    assert float(np.sqrt(np.mean(np.asarray(sound) ** 2))) == pytest.approx(loud, rel=0.4)


@pytest.mark.parametrize("kind", SoundFormat)
@pytest.mark.parametrize("channels", [1, 2])
def test_written_sound_is_read_back_in_its_format(kind: SoundFormat, channels: int) -> None:
    sound = voice_sound(kind, bit_rate=64_000, channels=channels)
    data = write_sound(sound, np.asarray(sound))
    again = read_sound(data)
    assert again.encoding.format is written_format(sound.encoding) is kind
    assert again.channels == (1 if kind is SoundFormat.AMR else channels)
    assert again.length_s == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(("deep", "step"), [(False, 2.0**-15), (True, 2.0**-22)])
@pytest.mark.parametrize("kind", [SoundFormat.WAV, SoundFormat.FLAC])
def test_lossless_samples_are_read_back_exactly(
    kind: SoundFormat,
    deep: bool,  # noqa: FBT001
    step: float,
) -> None:
    sound = voice_sound(kind, deep=deep)
    again = read_sound(write_sound(sound, np.asarray(sound)))
    assert again.encoding.deep is deep
    assert np.abs(np.asarray(again) - np.asarray(sound)).max() <= step


def test_copy_keeps_the_bit_rate_above_a_minimum() -> None:
    rates = []
    for wanted in (6000, 64_000):
        sound = voice_sound(SoundFormat.AAC, bit_rate=wanted)
        rates.append(8 * len(write_sound(sound, np.asarray(sound))) / sound.length_s)
    assert 40_000 < rates[0] < 62_000 < rates[1] < 76_000


@pytest.mark.parametrize("kind", SoundFormat)
def test_written_file_has_only_container_tags(kind: SoundFormat) -> None:
    sound = voice_sound(kind, bit_rate=64_000)
    data = write_sound(sound, np.asarray(sound))
    with av.open(io.BytesIO(data)) as container:
        stream: Any = container.streams.audio[0]
        tags = {**container.metadata, **stream.metadata}
    assert set(tags) <= {"major_brand", "minor_version", "compatible_brands", "language"} | {
        "handler_name",
        "vendor_id",
    }


def test_title_and_comment_are_not_kept() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as out:
        out.metadata.update({"title": "SECRET-TITLE", "comment": "SECRET-PLACE"})
        stream: Any = out.add_stream("libmp3lame", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(VOICE[None, :], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for one in (frame, None):
            out.mux(stream.encode(one))
    assert b"SECRET" in file.getvalue()
    sound = read_sound(file.getvalue())
    assert b"SECRET" not in write_sound(sound, np.asarray(sound))


def test_six_channels_are_mixed_into_two() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as out:
        stream: Any = out.add_stream("pcm_s16le", rate=48_000, layout="5.1")
        planes = np.repeat((VOICE[:4800] * 32767).astype(np.int16)[:, None], 6, axis=1)
        frame = av.AudioFrame.from_ndarray(planes.reshape(1, -1), format="s16", layout="5.1")
        frame.sample_rate = 48_000
        for one in (frame, None):
            out.mux(stream.encode(one))
    sound = read_sound(file.getvalue())
    assert sound.channels == 2
    assert np.allclose(np.asarray(sound)[:, 0], VOICE[:4800], atol=1e-3)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(64), b"RIFF\0\0\0\0WEBP" + bytes(64)]
)
def test_other_files_are_not_opened_as_sounds(data: bytes) -> None:
    with pytest.raises(NoSoundFound):
        sound_container_of(data)


@pytest.mark.parametrize(
    "encoder_arguments",
    [
        ("ac3", "mp4", 96_000),
        ("mp2", "matroska", 96_000),
        ("pcm_s16le", "wav", 0, 2000),
        ("pcm_s16le", "wav", 0, 192_000),
    ],
    ids=["AC-3", "MP2", "too slow", "too fast"],
)
def test_unsupported_codec_or_sample_rate_is_refused(encoder_arguments: tuple[Any, ...]) -> None:
    data = coded(VOICE, 48_000, *encoder_arguments)
    with pytest.raises(UnsupportedSoundCodec):
        read_sound(data)
    # A file that also has a supported track is accepted.
    read_sound(merge_streams(encoded_voice("mp4"), data, container="matroska"))


def test_clip_without_sound_raises_no_sound_found() -> None:
    with pytest.raises(NoSoundFound) as refusal:
        read_sound(encode_clip(hand_held_frames(seconds=0.2)))
    assert refusal.type is NoSoundFound


@pytest.mark.parametrize("name", ["ogg", "m4a", "flac"])
def test_damaged_file_raises_our_own_error(name: str) -> None:
    data = bytearray(encoded_voice(name))
    data[40:] = bytes(len(data) - 40)
    with pytest.raises((NoSoundFound, DamagedSound)):
        read_sound(bytes(data))


def test_too_long_sound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.media.sound_reader.SOUND_LENGTH_S_MAX", 1.0)
    with pytest.raises(SoundTooLong):
        read_sound(encoded_voice("ogg"))


def test_invalid_sound_is_rejected() -> None:
    sound = voice_sound(SoundFormat.WAV)
    for change in ({"channels": 3}, {"rate_hz": 10}, {"samples": b""}, {"samples": b"abc"}):
        with pytest.raises(ValueError, match="sound has"):
            replace(sound, **change)
    with pytest.raises(ValueError, match="bit rate"):
        SoundEncoding(SoundFormat.MP3, -1)
