"""Tests of making marked copies of a clip, and of clips with unusable sound or frames."""

import io
from contextlib import AbstractContextManager
from dataclasses import replace

import av
import numpy as np
import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import (
    Clip,
    ClipTooLongWithSound,
    FrameSelection,
    SoundTooLong,
    UnsupportedSoundCodec,
    UnsupportedVideoCodec,
)
from entrenous.media.clip_reader import read_clip
from entrenous.send.copies.clip_copies import read_clip_format, survey_clip
from entrenous.send.copies.mark_clip import mark_clip_copies, prepare_message_clip
from entrenous.send.copies.mark_file import CopyNotWritten, mark_file
from entrenous.send.message.transfer_progress import ignore_progress
from entrenous.trace.trace_file import trace_file
from tests.clips import encode_clip, hand_held_frames, merge_streams
from tests.trace.test_clip import RECIPIENTS, offline_device

FRAME_SIZE = (160, 120)  # pixels


@pytest.mark.slow
@pytest.mark.parametrize("written_count", [0, 1])
def test_unwritten_copy_is_removed_from_the_ledger(written_count: int) -> None:
    device = offline_device()
    marked_copies = mark_clip_copies(
        encode_clip(hand_held_frames(size=FRAME_SIZE, seconds=2.0)), RECIPIENTS, device
    )
    for _ in range(written_count + 1):
        next(marked_copies)
    with pytest.raises(CopyNotWritten):
        marked_copies.throw(CopyNotWritten())
    known = [[copy.to for copy in one.clips[0].copies] for one in device.ledger.messages()]
    assert known == [RECIPIENTS[:1]][:written_count]


def live_webm(data: bytes) -> bytes:
    """Return the clip as a WebM that does not state its length, as browsers record it."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as old,
        av.open(file, "w", format="webm", options={"live": "1"}) as out,
    ):
        stream = out.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return file.getvalue()


@pytest.mark.slow
def test_clip_that_states_no_length_has_a_limited_number_of_key_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # with small key frames, the test takes a tenth of the time
    monkeypatch.setattr("entrenous.send.copies.clip_copies._KEY_FRAME_SIDE_PX", 64)
    device, frames = offline_device(), hand_held_frames(size=(64, 48), seconds=1.0)
    long = encode_clip(
        [frames[number % len(frames)] for number in range(250)],
        fps=1,
        codec="libvpx",
        container="webm",
    )
    survey = survey_clip(live_webm(long), device)
    assert read_clip_format(live_webm(long), device).length_s == 0.0
    assert [key.at_s for key in survey.keys] == pytest.approx(np.arange(0.0, 250.0, 2.0), abs=0.01)
    assert len(survey.times) == len(survey.thumb_times) == 250 * 8


@pytest.fixture
def one_second_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the maximum length of a sound to one second."""
    monkeypatch.setattr("entrenous.media.sound_reader.SOUND_LENGTH_S_MAX", 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("one_second_sounds")
def test_clip_with_too_long_a_sound_is_refused_before_decoding_frames() -> None:
    sound = coded(voice(2.0, 48_000), 48_000, "aac", "mp4", 64_000)
    selections = list[FrameSelection]()

    def record_and_read(untrusted_data: bytes, cut: FrameSelection) -> AbstractContextManager[Clip]:
        selections.append(cut)
        return read_clip(untrusted_data, cut)

    device = replace(offline_device(), read_clip=record_and_read)
    clip = merge_streams(encode_clip(hand_held_frames(size=FRAME_SIZE, seconds=2.0)), sound)
    for mark_or_prepare in (
        lambda: next(mark_clip_copies(clip, RECIPIENTS, device)),
        lambda: prepare_message_clip(0, clip, device, ignore_progress),
    ):
        with pytest.raises(ClipTooLongWithSound, match="This clip has sound and is longer"):
            mark_or_prepare()
    assert [cut.stop_s for cut in selections] == [0.0, 0.0]
    assert list(device.ledger.messages()) == []
    # A clip without sound may be longer.
    silent = encode_clip(hand_held_frames(size=FRAME_SIZE, seconds=2.0))
    next(mark_clip_copies(silent, RECIPIENTS, device))


@pytest.mark.usefixtures("one_second_sounds")
def test_file_without_frames_is_treated_as_a_sound() -> None:
    sound = coded(voice(2.0, 48_000), 48_000, "aac", "mp4", 64_000)
    with pytest.raises(SoundTooLong):
        next(mark_file(sound, RECIPIENTS, None, offline_device()))


def test_clip_with_unsupported_frames_is_not_marked_as_sound() -> None:
    film = encode_clip(hand_held_frames(seconds=0.5), codec="ffv1", container="matroska")
    sound = coded(voice(2.0, 48_000), 48_000, "aac", "mp4", 64_000)
    with pytest.raises(UnsupportedVideoCodec):
        next(
            mark_file(
                merge_streams(film, sound, container="matroska"), RECIPIENTS, None, offline_device()
            )
        )


@pytest.mark.slow
def test_unsupported_sound_track_is_refused_but_does_not_prevent_tracing() -> None:
    device = offline_device()
    surround = coded(voice(2.0, 48_000), 48_000, "ac3", "mp4", 96_000)
    silent = encode_clip(hand_held_frames(size=FRAME_SIZE, seconds=1.0))
    with pytest.raises(UnsupportedSoundCodec):
        next(mark_clip_copies(merge_streams(silent, surround), RECIPIENTS, device))
    assert list(device.ledger.messages()) == []
    copies = {copy.to: copy.data for _, copy in mark_clip_copies(silent, RECIPIENTS, device)}
    posted = merge_streams(copies[RECIPIENTS[1]], surround)
    assert trace_file(posted, device).trace.verdict.named == (RECIPIENTS[1],)
