"""Tests of clips decoded in a sandboxed child: frames, selections, errors and bad answers."""

import struct
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from entrenous.base.audio_video import (
    DamagedClip,
    FrameSelection,
    IncompleteClip,
    NoVideoFound,
    UnsupportedVideoCodec,
)
from entrenous.fingerprint.video_hash import (
    REGISTERED_FRAME_SELECTION,
    UPLOAD_FRAME_SELECTION,
    frames_to_register,
    frames_to_scan,
)
from entrenous.media.clip_reader import read_clip
from entrenous.media.sandbox.child_process import Child, start_child
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoders import decode_clip_untrusted
from tests.clips import Rgb, add_subtitles, encode_clip, hand_held_frames, sound_only_clip

pytestmark = pytest.mark.real


@cache
def clip_frames() -> list[Rgb]:
    return hand_held_frames(seconds=0.5)


@pytest.mark.parametrize(("codec", "container"), [("libx264", "mp4"), ("libvpx-vp9", "webm")])
def test_sandboxed_frames_equal_in_process_frames(codec: str, container: str) -> None:
    data = encode_clip(clip_frames(), codec=codec, container=container)
    selection = FrameSelection(0.1, side_px=200)
    with (
        decode_clip_untrusted(data, selection) as sandboxed,
        read_clip(data, selection) as in_process,
    ):
        assert sandboxed.shown == in_process.shown
        assert list(sandboxed.frames) == list(in_process.frames)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mov_text"), ("matroska", "subrip")])
def test_text_track_does_not_disturb_decoding(container: str, codec: str) -> None:
    data = add_subtitles(encode_clip(clip_frames()), container=container, codec=codec)
    with decode_clip_untrusted(data) as sandboxed, read_clip(data) as in_process:
        assert list(sandboxed.frames) == list(in_process.frames)


@pytest.mark.parametrize(
    ("selection", "select_frames"),
    [(UPLOAD_FRAME_SELECTION, frames_to_scan), (REGISTERED_FRAME_SELECTION, frames_to_register)],
)
def test_child_sends_only_the_selected_frames(
    selection: FrameSelection, select_frames: Any
) -> None:
    data = encode_clip(hand_held_frames(size=(1600, 240), seconds=2.0), fps=12)
    with decode_clip_untrusted(data, selection) as selected, read_clip(data) as whole:
        assert (selected.shown.width_px, selected.shown.height_px) == (1024, 154)
        times = [frame.at_s for frame in select_frames(whole.frames, whole.shown.length_s)]
        assert [frame.at_s for frame in selected.frames] == times
    assert len(times) == round(2.0 / selection.apart_s)


def test_frames_max_spreads_the_selected_frames_over_the_clip() -> None:
    selection = FrameSelection(apart_s=0.01, frames_max=2)
    with decode_clip_untrusted(encode_clip(clip_frames()), selection) as clip:
        assert [frame.at_s for frame in clip.frames] == pytest.approx([0.0, 0.25], abs=1e-3)


def test_frames_out_of_time_order_are_refused() -> None:
    """The second frame has a later time than the frames that follow. A selection of frames must not
    skip those frames without an error.
    """
    options = {"bf": "2", "preset": "veryfast"}
    data = bytearray(encode_clip(hand_held_frames(seconds=2.0), codec="libx264", **options))
    second = data.index(b"ctts") + 20  # ISO/IEC 14496-12, 8.6.1.3
    many, later = struct.unpack(">II", data[second : second + 8])
    data[second : second + 8] = struct.pack(">II", many, later + 40 * 512)
    for selection in (FrameSelection(), UPLOAD_FRAME_SELECTION):
        with (
            pytest.raises(DamagedClip),
            decode_clip_untrusted(bytes(data), selection) as clip,
        ):
            list(clip.frames)


def test_child_errors_are_raised_in_the_parent() -> None:
    for data, error in (
        (sound_only_clip(), NoVideoFound),
        (encode_clip(clip_frames())[:-300], IncompleteClip),
        (encode_clip(clip_frames(), codec="ffv1", container="matroska"), UnsupportedVideoCodec),
    ):
        with pytest.raises(error) as refusal, decode_clip_untrusted(data) as clip:
            list(clip.frames)
        assert refusal.type is error


@pytest.mark.parametrize(
    "answer_code",
    [
        "b''",
        "b'X'",
        "b'V' + bytes(60)",
        "b'V' + struct.pack('>IIIIdBBBII', 64, 64, 25, 1, 1.0, 1, 1, 1, 1, 1) + b'F'",
        "b'V' + struct.pack('>IIIIdBBBII', 64, 64, 25, 1, 1.0, 1, 1, 1, 1, 1) + b'Fx' * 9000",
        "b'V' + struct.pack('>4Id3BII1sdB', 4, 4, 9, 1, 1, 1, 1, 1, 1, 1, b'F', 0, 4) + bytes(25)",
        "b'V' + struct.pack('>IIIIdBBBII', 65536, 65536, 25, 1, 1.0, 1, 1, 1, 1, 1)",
    ],
)
def test_invalid_answers_are_refused(answer_code: str) -> None:
    code = (
        f"import os, struct, sys; os.write(1, b'R\\x01'); os.read(0, 9); os.write(1, {answer_code})"
    )
    limits = Limits(wall_s=5.0)
    command = (sys.executable, "-I", "-c", code)
    with (
        pytest.raises(DamagedClip),
        decode_clip_untrusted(encode_clip(clip_frames()), limits=limits, command=command) as clip,
    ):
        list(clip.frames)


def test_stopping_early_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Child] = []

    def start_and_record(command: Sequence[str], wall_s: float) -> Child:
        started.append(start_child(command, wall_s))
        return started[-1]

    monkeypatch.setattr("entrenous.media.sandbox.decoders.start_child", start_and_record)
    with decode_clip_untrusted(encode_clip(clip_frames() * 20)) as clip:
        assert next(clip.frames).at_s == 0.0
        assert [child._process.poll() for child in started] == [None]
    assert started[0]._process.returncode is not None
