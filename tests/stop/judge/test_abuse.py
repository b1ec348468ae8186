"""Abuse of a bank: registering a famous picture, and uploading a crafted hash collision."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.base.limits import PDQ_RADIUS_BITS
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.stop.judge.decide import submit_appeal
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture, png


@pytest.fixture(scope="module")
def her_picture() -> Any:
    """Return a picture of 512 x 512 pixels, whose hash the collisions imitate."""
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def other_picture() -> Any:
    return skimage.data.coffee()


ENCODINGS: dict[str, Callable[[Any], bytes]] = {
    "as it is": png,
    "JPEG 30": lambda pixels: jpeg(pixels, 30),
    "half": lambda pixels: jpeg(cv2.resize(pixels, None, fx=0.5, fy=0.5)),
    "mirrored": lambda pixels: jpeg(pixels[:, ::-1]),
    "bordered": lambda pixels: jpeg(np.pad(pixels, ((20, 20), (20, 20), (0, 0)))),
}


@pytest.mark.slow
@pytest.mark.threat("claim-censors")
def test_a_famous_picture_is_held_only_until_a_reviewer_releases_it(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture).claim
    cases = {
        how: judge_upload(encode(her_picture), gate_setup.platform)
        for how, encode in ENCODINGS.items()
    }
    assert {one.outcome for one in cases.values()} == {Outcome.HOLD}
    release_case(cases["as it is"].case, gate_setup.platform)
    again = {
        how: judge_upload(encode(her_picture), gate_setup.platform).outcome
        for how, encode in ENCODINGS.items()
    }
    assert again == dict.fromkeys(ENCODINGS, Outcome.LET_THROUGH)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING


def craft_collision(looks_like: Any, hashes_like: Any) -> Any:
    """Return a picture with the fine lines of ``looks_like`` and faint shades of ``hashes_like``.

    Each bit of a PDQ hash says whether one of 256 low frequencies exceeds their median. Faint
    shades are enough to set the bits.
    """
    small = cv2.resize(hashes_like, looks_like.shape[1::-1]).astype(np.float64)
    own = looks_like.astype(np.float64)
    fine = own - cv2.GaussianBlur(own, (0, 0), 6)
    shades = cv2.GaussianBlur(small, (0, 0), 6)
    return np.clip(128 + fine + 0.4 * (shades - shades.mean()), 0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.threat("made-collision")
def test_a_crafted_collision_is_held_and_stored_for_the_reviewer(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    collision = craft_collision(other_picture, her_picture)
    apart = distance(fingerprint(picture(collision)), fingerprint(picture(her_picture)))
    assert apart <= PDQ_RADIUS_BITS
    assert _correlation_of_fine_lines(collision, other_picture) > _correlation_of_fine_lines(
        collision, cv2.resize(her_picture, collision.shape[1::-1])
    )
    claim = gate_setup.protect(her_picture, parts=False).claim
    decision = judge_upload(png(collision), gate_setup.platform)
    assert decision.outcome is Outcome.HOLD
    assert [match.distance for match in decision.matches] == [apart]
    # A reviewer can look only at the upload, because the gate has no picture of the claim.
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == png(collision)
    release_case(decision.case, gate_setup.platform)
    assert judge_upload(png(collision), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD
    # A release disputes a claim only if the upload practically equals the claim's picture.
    assert gate_setup.platform.bank.claim(claim).disputes == 0


@pytest.mark.slow
@pytest.mark.threat("made-collision")
def test_collision_with_a_confirmed_claim_is_refused_and_appeal_is_reviewed(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """The gate compares only hashes, so it cannot distinguish the two pictures."""
    collision = png(craft_collision(other_picture, her_picture))
    claim = gate_setup.protect(her_picture, parts=False).claim
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    decision = judge_upload(collision, gate_setup.platform)
    assert decision.outcome is Outcome.REFUSE
    assert decision.secret is not None
    submit_appeal(decision.case, decision.secret, collision, gate_setup.platform)
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == collision
    release_case(decision.case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.CONFIRMED
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE


def _correlation_of_fine_lines(one: Any, other: Any) -> float:
    """Return the correlation of the fine lines of two pictures, without their shades."""
    fine = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64) for pixels in (one, other)]
    sharp = [pixels - cv2.GaussianBlur(pixels, (0, 0), 6) for pixels in fine]
    return float(np.corrcoef(sharp[0].ravel(), sharp[1].ravel())[0, 1])
