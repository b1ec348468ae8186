"""Many uploads of one picture are one review item.

There are a thousand uploads on SQLite and in ``make nightly``, and otherwise a hundred.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.nouns import Alert, AlertKind
from entrenous.stop.platform import Platform
from entrenous.stop.review import next_review, release_case
from entrenous.stop.upload_record import Outcome, ReviewState
from tests.sizes import size
from tests.stop.platform_for_tests import (
    GateSetup,
    InProcessGate,
    jpeg,
    judge_upload,
    new_device,
    picture,
    protect_picture,
)
from tests.stop.store.bank_stores import open_stores


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def upload_count(database_kind: str) -> int:
    """Return 1000 on SQLite and in ``make nightly``, and otherwise 100."""
    return 1000 if database_kind == "sqlite" else size(100, 1000)


@pytest.fixture
def platform(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Platform]:
    with open_stores(database_kind, request, tmp_path) as opened:
        create_built_in_banks(opened.bank)
        yield replace(
            GateSetup().platform, clock=opened.clock, bank=opened.bank, reviews=opened.reviews,
            index=FileIndex(tmp_path / "index", opened.bank),
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.threat("uploads-flood")
def test_flood_of_uploads_of_one_picture_is_one_item(
    platform: Platform, her_picture: Any, upload_count: int
) -> None:
    """The picture is small to make judging faster."""
    small = cv2.resize(her_picture, (96, 96), interpolation=cv2.INTER_AREA)
    gate = InProcessGate(platform)
    protect_picture(picture(small), adult=True, parts=False, gate=gate, device=new_device())
    encodings = [jpeg(small, quality) for quality in range(50, 100, 5)]
    decisions = [judge_upload(encodings[number % 10], platform) for number in range(upload_count)]
    assert {one.outcome for one in decisions} == {Outcome.HOLD}
    assert platform.reviews.count_waiting_items() == 1
    first = next_review(platform)
    assert first is not None
    assert (first.case, first.gathered) == (decisions[0].case, upload_count - 1)
    hour = platform.clock.now()
    assert platform.reviews.take_due_alerts(hour, 20) == (
        Alert(AlertKind.FLOOD, 1, reported_floods=1),
    )
    released = release_case(first.case, platform)
    decided = {first.case, *released.also}
    for _ in range(len(encodings) - 1):  # an encoding with another hash may be a separate item
        if (other_picture := next_review(platform)) is not None:
            decided |= {other_picture.case, *release_case(other_picture.case, platform).also}
    assert decided == {one.case for one in decisions}
    assert (platform.reviews.count_waiting_items(), next_review(platform)) == (0, None)
    for one in (decisions[1], decisions[upload_count // 2], decisions[-1]):
        assert platform.reviews.review(one.case).state is ReviewState.RELEASED
    assert judge_upload(encodings[3], platform).outcome is Outcome.LET_THROUGH
