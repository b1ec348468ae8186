"""Tests of tracking a camera's motion, and of finding a frame's time, a start and a speed."""

import numpy as np
import pytest
import skimage.data

from entrenous.base.audio_video import ClipMeasurements
from entrenous.watermark.alignment.clip_timing import (
    CameraMotion,
    CameraTracker,
    FrameRows,
    nearest_indices,
    thumbnail_rows,
)

PHOTO = np.ascontiguousarray(skimage.data.astronaut()[:, :, 1])


def crop_view(x: int, y: int) -> np.ndarray:
    return np.ascontiguousarray(PHOTO[y : y + 240, x : x + 320])


def track_camera(places: list[tuple[int, int]]) -> CameraMotion:
    tracker = CameraTracker()
    rows = np.array([tracker.add_frame(crop_view(*place)) for place in places])
    times = np.arange(len(places)) / 10.0
    survey = ClipMeasurements(times.tobytes(), rows.tobytes(), (), b"", b"", (1, 1))
    return CameraMotion.of(survey)


def test_a_pan_is_followed() -> None:
    places = [(10 + 3 * n, 40 + 2 * n) for n in range(20)]
    motion = track_camera(places).motion_between(0.0, 1.9, (320, 240))
    assert motion[:, 2] == pytest.approx([-57.0, -38.0], abs=1.0)
    assert motion[:, :2] == pytest.approx(np.eye(2), abs=0.01)
    back = track_camera(places).motion_between(1.9, 0.0, (320, 240))
    assert back[:, 2] == pytest.approx([57.0, 38.0], abs=1.0)


def test_a_still_camera_stays_exactly_still() -> None:
    assert np.array_equal(
        track_camera([(30, 30)] * 5).motion_between(0.0, 0.4, (320, 240)), np.eye(2, 3)
    )


def test_a_cut_is_not_taken_for_motion() -> None:
    tracker = CameraTracker()
    tracker.add_frame(crop_view(0, 0))
    flat = np.full((240, 320), 90, np.uint8)
    assert tracker.add_frame(flat) == (1.0, 0.0, 0.0, 0.0)


def test_the_nearest_time_is_found() -> None:
    times = np.array([0.0, 0.1, 0.5])
    assert nearest_indices(times, np.array([-1.0, 0.04, 0.06, 0.31, 9.0])).tolist() == [
        0,
        0,
        1,
        2,
        2,
    ]
    assert nearest_indices(times[:1], np.array([3.0])).tolist() == [0]


@pytest.mark.slow
@pytest.mark.parametrize(("start_s", "speed"), [(1.2, 1.0), (0.7, 1.1), (2.0, 0.85)])
def test_start_and_speed_are_found(start_s: float, speed: float) -> None:
    rng = np.random.default_rng(3)
    sent_times = np.arange(120) / 20.0
    wander = np.cumsum(rng.normal(0.0, 3.0, (120, 2)), axis=0)
    places = np.clip(wander - wander.min(axis=0), 0, 180).astype(int)
    sent = thumbnail_rows([crop_view(int(x), int(y)) for x, y in places])
    found_times = np.linspace(0.0, 2.4, 12)
    shown = nearest_indices(sent_times, start_s + speed * found_times)
    noisy = sent[shown] * 0.8 + 20.0 + rng.normal(0.0, 4.0, sent[shown].shape)
    strips = FrameRows(
        noisy.astype(np.float32), found_times, sent, sent_times, np.ones(sent.shape[1], np.bool_)
    )
    timing = strips.refine_timing(strips.best_timing_anywhere())
    assert timing.start_s == pytest.approx(start_s, abs=0.06)
    assert timing.speed == pytest.approx(speed, abs=0.03)
    assert timing.likeness > 1.5
