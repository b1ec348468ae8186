"""Uploads that show several pictures: a decision is about more than the one that was hashed."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import make_blurred_view_and_log, release_case
from entrenous.stop.upload_record import Outcome
from tests.media.animated_png import png_with_separate_default_image
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload


def animated(kind: str, first: Any, second: Any, **options: Any) -> bytes:
    """Return a file that shows ``first`` for a moment, and then ``second``."""
    file = io.BytesIO()
    frames = [Image.fromarray(one) for one in (first, second)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=10, **options)
    return file.getvalue()


@pytest.fixture
def harmless(her_picture: Any) -> Any:
    """Return another picture of the same size."""
    y, x = np.indices(her_picture.shape[:2])
    waves = (128 + 60 * np.sin(x / 31) + 60 * np.cos((x + y) / 47)).astype(np.uint8)
    return np.repeat(waves[:, :, None], 3, axis=2)


@pytest.mark.threat("released-first")
def test_png_with_two_pictures_is_held_unread_and_its_release_covers_only_this_file(
    gate_setup: GateSetup, her_picture: Any, harmless: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    for default, shown in ((her_picture, harmless), (harmless, her_picture)):
        upload = png_with_separate_default_image(default, shown)
        decision = judge_upload(upload, gate_setup.platform)
        assert (decision.outcome, decision.matches) == (Outcome.HOLD, ())
        assert dry_run(upload, gate_setup.platform, deep=True).outcome is Outcome.HOLD
        release_case(decision.case, gate_setup.platform)
        assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
        assert judge_upload(upload, gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.threat("reviewer-harm")
def test_view_shows_both_pictures_of_a_png(gate_setup: GateSetup) -> None:
    dark, bright = (np.full((300, 300, 3), level, np.uint8) for level in (0, 255))
    upload = png_with_separate_default_image(dark, bright)
    case = judge_upload(upload, gate_setup.platform).case
    view = Image.open(io.BytesIO(make_blurred_view_and_log(case, "ana", gate_setup.platform)))
    levels = np.asarray(view)
    assert levels[: len(levels) // 3].min() == 255
    assert levels[-len(levels) // 3 :].max() == 0


@pytest.mark.threat("released-first")
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_release_of_an_animated_picture_covers_only_this_file(
    gate_setup: GateSetup, her_picture: Any, harmless: Any, kind: str
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    upload = animated(kind, her_picture, harmless)
    for _ in range(3):
        decision = judge_upload(upload, gate_setup.platform)
        assert decision.outcome is Outcome.HOLD
        assert decision.matches
        release_case(decision.case, gate_setup.platform)
        assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
        assert judge_upload(upload, gate_setup.platform).outcome is Outcome.LET_THROUGH
        upload += b"another file"
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert gate_setup.platform.bank.claim(claim).disputes == 0


@pytest.mark.threat("released-first")
def test_release_of_an_animated_picture_does_not_release_a_flood(
    gate_setup: GateSetup, her_picture: Any, harmless: Any
) -> None:
    gate_setup.platform = replace(
        gate_setup.platform, limits=replace(gate_setup.platform.limits, held_per_hash=1)
    )
    gate_setup.protect(her_picture, parts=False)
    upload = animated("PNG", her_picture, harmless)
    case = judge_upload(upload, gate_setup.platform).case
    same = judge_upload(upload, gate_setup.platform).case
    plain = judge_upload(jpeg(her_picture), gate_setup.platform).case
    assert release_case(case, gate_setup.platform).also == (same,)
    assert gate_setup.platform.reviews.review(plain).decision.outcome is Outcome.HOLD
    assert gate_setup.platform.reviews.count_waiting_items() == 1
