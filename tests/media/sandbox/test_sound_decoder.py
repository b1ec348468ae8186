"""Tests of decoding sounds in a sandboxed child, and of reading and checking its answers."""

import io
import struct
import sys
from dataclasses import replace
from functools import cache
from typing import Any
from wave import open as open_wave

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import (
    DamagedSound,
    NoSoundFound,
    Silence,
    Sound,
    SoundTiming,
    SoundTooLong,
    UnsupportedSoundCodec,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.picture import DecoderDidNotStart
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.sound_index import make_sound_fingerprint
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_messages import (
    read_sound_answer,
    write_sound_answer,
    write_sound_failure,
)
from entrenous.media.sandbox.decoders import decode_sound_untrusted
from entrenous.media.sound_reader import read_sound
from tests.clips import add_subtitles


@cache
def ogg_file() -> bytes:
    return coded(voice(1.0, 48_000), 48_000, "libopus", "ogg", 32_000)


class AnswerReader:
    """A ``read(size)`` function over the bytes of an answer."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def __call__(self, size: int) -> bytes:
        if len(self._rest) < size:
            raise EOFError
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def wav_file(rate_hz: int, samples: NDArray[Any]) -> bytes:
    """Return a WAV file of samples of shape (N, channels)."""
    file = io.BytesIO()
    with open_wave(file, "wb") as out:
        out.setparams((samples.shape[1], 2, rate_hz, 0, "NONE", ""))
        out.writeframes(np.round(32_000 * samples).astype("<i2").tobytes())
    return file.getvalue()


def written_answer(sound: Sound) -> bytes:
    return b"".join(write_sound_answer(sound))


@pytest.mark.real
def test_child_decodes_as_in_process() -> None:
    for data in (ogg_file(), coded(voice(1.0, 48_000), 48_000, "aac", "mp4", 64_000)):
        assert decode_sound_untrusted(data) == read_sound(data)


@pytest.mark.real
@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "mov_text"), ("ipod", "mov_text"), ("matroska", "subrip")]
)
def test_text_track_does_not_disturb_decoding(container: str, codec: str) -> None:
    """The child can no longer import modules when it reaches the text track."""
    plain = coded(voice(1.0, 48_000), 48_000, "aac", "mp4", 64_000)
    data = add_subtitles(plain, container=container, codec=codec)
    assert decode_sound_untrusted(data) == read_sound(data)


@pytest.mark.real
def test_child_sends_one_channel_at_the_fingerprint_rate() -> None:
    talk = voice(8.0, 48_000)
    both = np.stack([talk, np.roll(talk, 48_000)], axis=1)
    data = wav_file(48_000, both)
    sound = decode_sound_untrusted(data, RATE_HZ)
    assert sound == read_sound(data, RATE_HZ)
    assert (sound.rate_hz, sound.channels) == (RATE_HZ, 1)
    assert len(sound) == pytest.approx(8 * RATE_HZ, abs=2)
    plain, small = read_sound(data), np.asarray(sound)
    wanted = make_sound_fingerprint(np.asarray(plain), plain.rate_hz).words
    found = make_sound_fingerprint(small, RATE_HZ).words
    assert len(wanted) == len(found)
    errors = int.from_bytes(wanted, "big") ^ int.from_bytes(found, "big")
    assert errors.bit_count() < 0.02 * 8 * len(wanted)


@pytest.mark.parametrize(
    ("rate_hz", "length"), [(RATE_HZ, 999), (48_000, 1), (8000, 1), (96_000, 9)]
)
def test_very_short_sounds_have_the_expected_length(rate_hz: int, length: int) -> None:
    sound = read_sound(wav_file(rate_hz, np.full((length, 2), 0.25)), RATE_HZ)
    assert len(sound) == pytest.approx(length * RATE_HZ / rate_hz, abs=1)


def test_answer_with_more_than_requested_is_refused() -> None:
    with pytest.raises(ValueError, match="more than was asked for"):
        read_sound_answer(AnswerReader(written_answer(read_sound(ogg_file()))), RATE_HZ)


@pytest.mark.real
def test_child_errors_are_raised_in_the_parent() -> None:
    with pytest.raises(DamagedSound):
        decode_sound_untrusted(b"OggS" + bytes(500))
    with pytest.raises(NoSoundFound):
        decode_sound_untrusted(b"nothing of the kind")
    with pytest.raises(UnsupportedSoundCodec):
        decode_sound_untrusted(coded(voice(1.0, 48_000), 48_000, "ac3", "mp4", 96_000))


@pytest.mark.real
def test_dead_child_or_invalid_answer_raises_damaged_sound() -> None:
    ready = "import sys; sys.stdout.buffer.write(b'R\\x0f'); sys.stdout.flush();"
    for after in ("sys.stdout.buffer.write(b'Snonsense' * 9)", "sys.exit(1)"):
        with pytest.raises(DamagedSound):
            decode_sound_untrusted(ogg_file(), command=(sys.executable, "-c", ready + after))
    with pytest.raises(DecoderDidNotStart):
        decode_sound_untrusted(ogg_file(), command=("/no/such/program",))


@pytest.mark.real
def test_silent_child_times_out() -> None:
    ready = "import sys, time; sys.stdout.buffer.write(b'R\\x0f'); sys.stdout.flush();"
    limits = Limits(wall_s=1.0)
    with pytest.raises(DamagedSound):
        decode_sound_untrusted(
            ogg_file(), limits=limits, command=(sys.executable, "-c", ready + "time.sleep(60)")
        )


def test_written_answer_is_read_back_unchanged() -> None:
    sound = read_sound(ogg_file())
    apart = SoundTiming(9, (Silence(0, 2), Silence(7, 48_000 * 1200)))
    for one in (sound, replace(sound, timing=apart)):
        assert read_sound_answer(AnswerReader(written_answer(one))) == one


@pytest.mark.parametrize(
    "failure",
    [NoSoundFound(), UnsupportedSoundCodec(), DamagedSound(), SoundTooLong(limit_minutes=20)],
)
def test_written_failure_is_raised_as_the_same_error(failure: EntrenousError) -> None:
    with pytest.raises(type(failure)) as refusal:
        read_sound_answer(AnswerReader(write_sound_failure(failure)))
    assert refusal.type is type(failure)
    assert str(refusal.value) == str(failure)


ANSWER_HEADER = struct.Struct(">IBBIBQ")


@pytest.mark.parametrize(
    ("field_index", "value"),
    [(0, 10), (0, 10**6), (1, 3), (2, 9), (3, 2_000_000), (4, 2), (5, 0), (5, 2**40)],
)
def test_invalid_numbers_in_an_answer_are_refused(field_index: int, value: int) -> None:
    data = written_answer(read_sound(ogg_file()))
    fields = list(ANSWER_HEADER.unpack(data[1 : 1 + ANSWER_HEADER.size]))
    fields[field_index] = value
    with pytest.raises(ValueError, match=r"impossible|out of range"):
        read_sound_answer(
            AnswerReader(b"S" + ANSWER_HEADER.pack(*fields) + data[1 + ANSWER_HEADER.size :])
        )


ANSWER_TIMING = struct.Struct(">QIQQ")


@pytest.mark.parametrize(
    "times",
    [(2**63, 1, 0, 9), (0, 2**31, 0, 9), (0, 1, 2**40, 9), (0, 1, 0, 0), (0, 1, 0, 48_000 * 1201)],
)
def test_invalid_times_in_an_answer_are_refused(times: tuple[int, ...]) -> None:
    data = written_answer(read_sound(ogg_file()))
    head, rest = data[: 1 + ANSWER_HEADER.size], data[1 + ANSWER_HEADER.size + 12 :]
    with pytest.raises(ValueError, match=r"silence|picture"):
        read_sound_answer(AnswerReader(head + ANSWER_TIMING.pack(*times) + rest))


def test_silences_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        SoundTiming(0, (Silence(5, 1), Silence(5, 1)))


def test_timing_in_a_fingerprint_answer_is_refused() -> None:
    sound = replace(read_sound(ogg_file(), RATE_HZ), timing=SoundTiming(1))
    with pytest.raises(ValueError, match="more than was asked for"):
        read_sound_answer(AnswerReader(written_answer(sound)), RATE_HZ)


def test_nan_samples_and_unknown_answers_are_refused() -> None:
    data = written_answer(read_sound(ogg_file()))
    with pytest.raises(ValueError, match="finite number"):
        read_sound_answer(AnswerReader(data[:-4] + np.float32(np.nan).tobytes()))
    with pytest.raises(ValueError, match="something else"):
        read_sound_answer(AnswerReader(b"?"))
