"""Tests of traces of sounds: the right copy, sounds that name nobody, and refusals."""

import numpy as np
import pytest

from bench.sounds.attacks import OPUS_24, coded, faster, one_after_another, room
from bench.sounds.material import voice
from entrenous.base.audio_video import NoSoundFound
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.sound_copies import mark_sound_copies
from entrenous.trace.sound import trace_sound
from entrenous.watermark.verdict import Finding, NothingToWeigh
from tests.send.sounds import device_for_sounds

pytestmark = pytest.mark.slow

RECIPIENTS = [RecipientId(name) for name in ("ben", "caro", "dina", "eve")]
WAV = ("pcm_s16le", "wav", 0)  # codec, container and bit rate


def voice_note(seed: int, seconds: float = 12.0) -> bytes:
    return coded(voice(seconds, 48_000, seed), 48_000, "libopus", "ogg", 32_000)


@pytest.fixture(scope="module")
def marked_sounds() -> tuple[Device, dict[str, bytes]]:
    device = device_for_sounds()
    list(mark_sound_copies(voice_note(1), RECIPIENTS[:2], device))
    made = mark_sound_copies(voice_note(2), RECIPIENTS, device)
    return device, {file.to: file.data for _, file in made}


def message_with_four_copies(device: Device) -> Message:
    return next(one for one in device.ledger.messages() if len(one.sounds[0].copies) == 4)


def test_the_right_copy_of_the_right_message_is_named(
    marked_sounds: tuple[Device, dict[str, bytes]],
) -> None:
    device, copies = marked_sounds
    samples = np.asarray(read_sound(copies["dina"]))[4 * 48_000 : 11 * 48_000, 0]
    leak, rate_hz = one_after_another(faster(1.02), OPUS_24)(samples, 48_000)
    trace = trace_sound(coded(leak, rate_hz, *WAV), device)
    assert trace.verdict.named == ("dina",)
    assert trace.verdict.chance[RecipientId("dina")] <= FALSE_NAMING_CHANCE_MAX
    assert trace.message == message_with_four_copies(device).name
    assert trace.compared == 6
    assert trace.span is not None
    assert trace.span.start_s == pytest.approx(4.0, abs=0.2)
    assert trace.span.speed == pytest.approx(1.02, abs=1e-3)


def test_a_recording_of_the_playback_in_a_room_names_the_copy(
    marked_sounds: tuple[Device, dict[str, bytes]],
) -> None:
    device, copies = marked_sounds
    leak, rate_hz = room()(np.asarray(read_sound(copies["ben"]))[:, 0], 48_000)
    trace = trace_sound(coded(leak, rate_hz, "aac", "mp4", 64_000), device)
    assert trace.verdict.named == ("ben",)


@pytest.mark.parametrize(
    ("before_s", "after_s"),
    [
        (20.0, 0.0),
        pytest.param(0.0, 250.0, marks=pytest.mark.nightly),
        pytest.param(120.0, 0.0, marks=pytest.mark.nightly),
    ],
)
def test_a_copy_within_a_longer_recording_is_named(
    marked_sounds: tuple[Device, dict[str, bytes]], before_s: float, after_s: float
) -> None:
    device, copies = marked_sounds
    copy = np.asarray(read_sound(copies["caro"]))[:, 0]
    other = voice(before_s, 48_000, 50) if before_s else copy[:0]
    leak = np.concatenate([other, copy, np.zeros(int(after_s * 48_000))]).astype(np.float32)
    trace = trace_sound(coded(leak, 48_000, *WAV), device)
    assert trace.verdict.named == ("caro",)
    assert trace.span is not None
    assert trace.span.start_s == pytest.approx(0.0, abs=0.2)
    assert trace.span.length_s == pytest.approx(12.0, abs=0.3)


def test_the_unmarked_original_names_nobody(
    marked_sounds: tuple[Device, dict[str, bytes]],
) -> None:
    device, _ = marked_sounds
    trace = trace_sound(voice_note(2), device)
    assert trace.verdict.finding is Finding.NOBODY
    assert trace.verdict.named == ()
    assert trace.message == message_with_four_copies(device).name
    assert trace.compared == 6


@pytest.mark.parametrize("seconds", [2.0, 12.0])
def test_an_unrelated_sound_matches_no_message(
    marked_sounds: tuple[Device, dict[str, bytes]], seconds: float
) -> None:
    trace = trace_sound(voice_note(77, seconds), marked_sounds[0])
    assert trace.verdict.finding is Finding.NOBODY
    assert (trace.message, trace.span) == (None, None)
    assert trace.compared == 6


def test_a_very_short_sound_names_nobody() -> None:
    """Its contours may correlate negatively with those of the sent sound at every place."""
    device = device_for_sounds()
    list(mark_sound_copies(coded(voice(1.1), 16_000, *WAV), RECIPIENTS[:1], device))
    trace = trace_sound(coded(voice(0.5, seed=8), 16_000, *WAV), device)
    assert (trace.message, trace.verdict.finding) == (None, Finding.NOBODY)


def test_a_copy_of_the_shortest_sound_is_named() -> None:
    device = device_for_sounds()
    made = mark_sound_copies(coded(voice(1.0), 16_000, *WAV), RECIPIENTS[:2], device)
    copies = {file.to: file.data for _, file in made}
    assert trace_sound(copies["caro"], device).verdict.named == ("caro",)


def test_a_sound_cannot_be_traced_before_anything_was_sent() -> None:
    with pytest.raises(NothingToWeigh):
        trace_sound(voice_note(1, 3.0), device_for_sounds())


def test_file_without_sound_is_refused(marked_sounds: tuple[Device, dict[str, bytes]]) -> None:
    with pytest.raises(NoSoundFound):
        trace_sound(b"no sound at all", marked_sounds[0])
