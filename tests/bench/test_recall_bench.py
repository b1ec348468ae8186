"""Tests of the recall benchmark on few photographs: false matches, pieces, figures and options."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from bench.stopping import recall
from bench.stopping.recall import SOME, Plan, measure_recall
from bench.stopping.recall_edits import EDITS
from bench.stopping.recall_false import Counted, Pieces, Strangers, tiles
from bench.stopping.recall_looks import Registered, UploadHashes, hash_upload, nearest, register
from bench.stopping.recall_pictures import subjects
from entrenous.base.limits import PDQ_RADIUS_BITS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered_pictures() -> list[Registered]:
    registered = [register(subject) for subject in islice(subjects(), 3)]
    assert all(registered)
    return [one for one in registered if one is not None]


@pytest.fixture(scope="module")
def crop_hashes(registered_pictures: list[Registered]) -> UploadHashes:
    """Return the hashes of a grey crop from the middle of photograph 2."""
    rgb = registered_pictures[2].subject.rgb
    high, wide = rgb.shape[:2]
    part = rgb[high // 8 : high - high // 8, wide // 8 : wide - wide // 8]
    return hash_upload(EDITS["grey"](part, np.random.default_rng(1)))


def test_match_with_another_photograph_counts_as_false(
    registered_pictures: list[Registered],
    crop_hashes: UploadHashes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The crop of photograph 2 counts as an upload of photograph 0, so a match with 2 is false."""
    bits = [
        min(nearest(crop_hashes.deep, other.whole), nearest(crop_hashes.deep_parts, other.parts))
        for other in registered_pictures[1:]
    ]
    expected = Counted(sum(one <= PDQ_RADIUS_BITS for one in bits), 2)
    assert expected.false == 1
    strangers = Strangers(registered_pictures, 1)
    strangers.count_upload("cut out", 0, crop_hashes)
    assert strangers.count == expected
    own_name, other_name = (registered_pictures[number].subject.name for number in (0, 2))
    assert f"FALSE cut out: {own_name} as {other_name}\n" in capsys.readouterr().err
    strangers.count_upload("cut out", 2, crop_hashes)  # now counted as an upload of photograph 2
    assert strangers.count == Counted(1, 4)


@pytest.mark.nightly
def test_pieces_are_registered_with_windows_of_their_own(
    registered_pictures: list[Registered], crop_hashes: UploadHashes
) -> None:
    known = Pieces.of(registered_pictures[1:], tiles)
    assert len(known.hashes) == len(known.owner) > 26
    assert len(known.window_of) > 50 * len(known.owner)
    owners_of_windows = set(known.window_of.tolist())  # small or flat pieces have no windows
    assert owners_of_windows <= set(range(len(known.owner)))
    assert len(owners_of_windows) > 26
    counted, whose = known.count_matches_with_windows(0, crop_hashes)
    assert counted.pairs == (known.owner != 0).sum()
    assert whose == {1}
    assert known.count_matches_with_windows(1, crop_hashes)[0].false == 0


@pytest.mark.nightly
def test_document_has_recall_and_false_pairs_of_each_scan() -> None:
    plan = Plan(edits=("mirror", "caption bar"), false_edits=("jpeg 10",), photographs=2)
    document = json.loads(json.dumps(measure_recall(subjects(), plan)))
    assert document["schema"] == "entrenous/bench-stop-recall/1"
    assert document["recall"]["fast"] == {"mirror": 1.0, "caption bar": 0.0}
    assert document["recall"]["deep"] == {"mirror": 1.0, "caption bar": 1.0}
    assert document["deep_false"] == {"false": 0, "pairs": 2 * 2}
    assert document["deep_pieces_false"]["pairs"] == document["deep_wholes_false"]["pairs"] > 20
    assert document["fast_false"]["pairs"] > 500
    kinds = ("fast", "deep", "deep_wholes", "deep_pieces")
    assert document["false_pairs"] == sum(document[f"{kind}_false"]["false"] for kind in kinds)


def test_command_line_options_choose_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_plan = replace(SOME, edits=("jpeg 10",), false_edits=(), photographs=1)
    monkeypatch.setattr(recall, "SOME", small_plan)
    recall.main(["--quick", "--seed", "3"])
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["recall"]["fast"] == {"jpeg 10": 1.0}
    assert document["held_out"]["fast"] == {}
