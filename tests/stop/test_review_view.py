"""Blurred views of uploads for reviewers, decoded outside the gate's process."""

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from entrenous.base.audio_video import Clip, DamagedClip, FrameSelection
from entrenous.media.resize import blurred_preview
from entrenous.stop.review import make_blurred_view_and_log
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, NoView, Outcome, Review, ReviewState
from tests.clips import encode_clip, hand_held_frames
from tests.stop.platform_for_tests import GateSetup, jpeg


def record_held_upload(gate_setup: GateSetup, upload: bytes) -> str:
    review = Review(Decision(Outcome.HOLD, "c"), gate_setup.clock.now(), ReviewState.WAITING)
    gate_setup.platform.reviews.record_upload(review, upload)
    return "c"


def view_pixels(view: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(view)), np.float64)


@pytest.fixture(scope="session")
def clip_starting_black() -> bytes:
    """Return a clip of two black seconds and two seconds of a photograph."""
    frames = hand_held_frames(seconds=4.0)
    return encode_clip([np.zeros_like(one) for one in frames[:24]] + frames[24:])


@pytest.mark.threat("reviewer-harm")
def test_view_of_a_clip_shows_a_frame_with_content(
    gate_setup: GateSetup, clip_starting_black: bytes
) -> None:
    view = view_pixels(
        make_blurred_view_and_log(
            record_held_upload(gate_setup, clip_starting_black), "ana", gate_setup.platform
        )
    )
    assert view.shape == (192, 256)
    assert view.std() > 20


def test_broken_clip_has_a_view_only_if_a_frame_can_be_decoded(
    gate_setup: GateSetup, clip_starting_black: bytes
) -> None:
    read_clip = gate_setup.platform.read_clip

    @contextmanager
    def read_clip_that_breaks(data: bytes, selection: FrameSelection) -> Iterator[Clip]:
        with read_clip(data, selection) as clip:
            yield replace(
                clip,
                frames=itertools.chain(itertools.islice(clip.frames, 3), damaged_frames()),
            )

    gate_setup.platform = replace(gate_setup.platform, read_clip=read_clip_that_breaks)
    assert (
        view_pixels(
            make_blurred_view_and_log(
                record_held_upload(gate_setup, clip_starting_black), "ana", gate_setup.platform
            )
        ).std()
        > 20
    )

    @contextmanager
    def read_clip_without_frames(data: bytes, selection: FrameSelection) -> Iterator[Clip]:
        with read_clip(data, selection) as clip:
            yield replace(clip, frames=damaged_frames())

    gate_setup.platform = replace(gate_setup.platform, read_clip=read_clip_without_frames)
    with pytest.raises(NoView):
        make_blurred_view_and_log("c", "ana", gate_setup.platform)


def damaged_frames() -> Any:
    yield from ()
    raise DamagedClip


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (700, 500, 3), (20, 10, 3)])
def test_pictures_of_any_shape_can_be_blurred(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    view = view_pixels(blurred_preview(noise))
    assert max(view.shape) == 256
    assert min(view.shape) >= 1


def test_view_hides_detail_within_cells_of_a_32_by_32_grid() -> None:
    coarse = np.random.default_rng(3).integers(60, 196, (32, 32)).astype(np.uint8)
    flat = coarse.repeat(16, 0).repeat(16, 1)
    fine = flat.copy()
    upper = np.arange(512) % 16 < 8  # the upper half of each row of cells
    fine[upper] += 40
    fine[~upper] -= 40
    assert blurred_preview(fine) == blurred_preview(flat)


@pytest.mark.real
@pytest.mark.threat("reviewer-harm")
def test_view_is_decoded_outside_the_gate_process(
    tmp_path: Path, clip_starting_black: bytes, her_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views are made although ``PIL.Image.open`` and ``av.open`` fail in the gate's process."""
    with open_platform(tmp_path / "gate") as (platform, _):
        for case, upload in (("p", jpeg(her_picture)), ("c", clip_starting_black)):
            review = Review(Decision(Outcome.HOLD, case), platform.clock.now(), ReviewState.WAITING)
            platform.reviews.record_upload(review, upload)
            with monkeypatch.context() as patched:
                patched.setattr(Image, "open", None)
                patched.setattr(av, "open", None)
                view = make_blurred_view_and_log(case, "ana", platform)
            assert max(view_pixels(view).shape) == 256
