"""Tests of ``trace_file``: a clip whose frames match nothing, and a device that sent nothing."""

import io
from dataclasses import replace

import av
import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import UnsupportedVideoCodec
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.media.clip_reader import read_clip
from entrenous.media.clip_writer import ClipSoundTrack, ClipWriter
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_file import mark_file
from entrenous.trace.trace_file import trace_file
from entrenous.watermark.verdict import Finding, NothingToWeigh
from tests.clips import encode_clip, hand_held_frames, merge_streams
from tests.trace.offline_device import encode_jpeg, offline_device, sample_photo

pytestmark = pytest.mark.slow

RECIPIENTS = [RecipientId(name) for name in ("ben", "caro")]
RATE_HZ = 16_000


def device_for_clips() -> Device:
    return replace(offline_device(), read_clip=read_clip, read_sound=read_sound)


def add_sound_to_clip(clip_data: bytes, samples: np.ndarray) -> bytes:
    with read_clip(clip_data) as reader:
        writer = ClipWriter(reader.shown, 24, ClipSoundTrack(samples, RATE_HZ))
        for frame in reader.frames:
            luma = np.asarray(frame)
            writer.add(luma, np.frombuffer(frame.planes, np.uint8)[luma.size :], frame.at_s)
        return writer.finish()


def decode_sound(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as reader:
        parts = [frame.to_ndarray() for frame in reader.decode(audio=0)]
    return np.ascontiguousarray(np.concatenate(parts, axis=1).T)


def test_a_clip_with_unrelated_frames_is_traced_by_its_sound() -> None:
    noise = np.cumsum(np.random.default_rng(2).normal(0.0, 1.0, 8 * RATE_HZ))
    sound = np.diff(noise, prepend=0.0)[:, None].astype(np.float32) * 0.1
    device = device_for_clips()
    source = add_sound_to_clip(encode_clip(hand_held_frames(seconds=0.5)), sound)
    copies = {copy.to: copy.data for _, copy in mark_file(source, RECIPIENTS, None, device)}
    assert len(next(iter(device.ledger.messages())).clips[0].copies) == len(RECIPIENTS)
    black = encode_clip([np.full((240, 320, 3), 20, np.uint8)] * 6)
    traced = trace_file(add_sound_to_clip(black, decode_sound(copies["caro"])), device).trace
    assert traced.verdict.named == ("caro",)
    assert traced.compared == 2 * len(RECIPIENTS)
    assert [kept.number for kept in device.ledger.traces()] == [1]
    silent = trace_file(black, device).trace
    assert silent.verdict.finding is Finding.NOBODY


def test_clip_with_unsupported_frames_is_traced_by_its_sound_or_refused() -> None:
    device, film = device_for_clips(), hand_held_frames(seconds=0.2)
    recording = coded(voice(6.0, 48_000), 48_000, "libopus", "ogg", 48_000)
    made = {copy.to: copy.data for _, copy in mark_file(recording, RECIPIENTS, None, device)}
    unread = encode_clip(film, codec="ffv1", container="matroska")

    def with_sound(sound: bytes) -> bytes:
        return merge_streams(unread, sound, container="matroska")

    assert trace_file(with_sound(made["ben"]), device).trace.verdict.named == ("ben",)
    for leak in (unread, with_sound(recording)):
        with pytest.raises(UnsupportedVideoCodec):
            trace_file(leak, device)
    assert len(device.ledger.traces()) == 1


def test_screenshot_of_no_clip_names_nobody_if_only_clips_were_sent() -> None:
    device = device_for_clips()
    list(mark_file(encode_clip(hand_held_frames(seconds=0.5)), RECIPIENTS, None, device))
    trace = trace_file(encode_jpeg(sample_photo("coffee")), device).trace
    assert (trace.verdict.finding, trace.message) == (Finding.NOBODY, None)
    assert trace.compared == len(RECIPIENTS)


def test_nothing_sent_raises_nothing_to_weigh_for_clip_and_sound() -> None:
    black = encode_clip([np.full((240, 320, 3), 20, np.uint8)] * 6)
    for data in (black, add_sound_to_clip(black, np.zeros((RATE_HZ, 1), np.float32))):
        with pytest.raises(NothingToWeigh):
            trace_file(data, device_for_clips())
