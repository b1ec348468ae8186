"""Uploads that show people a registered picture, and a careless program something else."""

from typing import Any

import numpy as np
import pytest

from entrenous.stop.upload_record import Outcome
from tests.media.hidden_pictures import HIDING_PROFILES
from tests.stop.platform_for_tests import GateSetup, judge_upload


@pytest.fixture
def harmless(her_picture: Any) -> Any:
    """Return another picture of the same size."""
    y, x = np.indices(her_picture.shape[:2])
    waves = (128 + 60 * np.sin(x / 31) + 60 * np.cos((x + y) / 47)).astype(np.uint8)
    return np.repeat(waves[:, :, None], 3, axis=2)


@pytest.mark.parametrize("how", HIDING_PROFILES)
def test_picture_hidden_by_a_colour_profile_is_held(
    gate_setup: GateSetup, her_picture: Any, harmless: Any, how: str
) -> None:
    gate_setup.protect(her_picture, parts=False)
    hidden = HIDING_PROFILES[how](harmless, her_picture)
    assert judge_upload(hidden, gate_setup.platform).outcome is Outcome.HOLD
    shown = HIDING_PROFILES[how](her_picture, harmless)
    assert judge_upload(shown, gate_setup.platform).outcome is Outcome.LET_THROUGH
