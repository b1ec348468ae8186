"""Tests of benchmarks on little data: delays, matches of clips and sounds, hashes, signatures."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import signatures
from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from bench.stopping import acting, lookups, recall_reel, reels, shrunk, voices
from bench.stopping.reels import LEAKS, photographs, synthetic_clip
from bench.stopping.voices import SOUND_LEAKS, sounds

pytestmark = pytest.mark.slow


def test_time_until_a_registration_matches_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lookups, "_SPENT_S", 0.01)
    for name, value in {"_BEFORE": 100, "_CLAIMS": 3}.items():
        monkeypatch.setattr(acting, name, value)
    latency = acting.measure_claim_latency()
    assert 0 < latency.add_to_match_ms < 10_000
    assert 0 < latency.withdraw_to_no_match_ms < 10_000


@pytest.mark.nightly
def test_mirrored_excerpt_matches_only_its_own_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_reel, "_EXCERPTS", (3,))
    monkeypatch.setattr(reels, "_FPS", 12)
    found = {
        name: synthetic_clip(photo, 3.5, seed)
        for seed, (name, photo) in enumerate(photographs(2).items())
    }
    leak = "mirror, crop 5 %, 25 fps"
    seen = recall_reel.measure_videos(found, {leak: LEAKS[leak]}, 1)
    assert set(seen) == {f"{leak}, 3 s", "screenshot"}
    figures = seen[f"{leak}, 3 s"].shares()
    assert (figures["tried"], figures["held"], figures["false_held"], figures["pairs"]) == (
        2,
        1.0,
        0,
        2,
    )
    assert recall_reel.speed(next(iter(found.values())))["times_real_time"] > 0


@pytest.mark.nightly
def test_unchanged_excerpt_of_a_sound_is_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "_LENGTH_S", 13.0)
    material = dict(list(sounds(few=True).items())[:2])
    leak = next(iter(SOUND_LEAKS))
    figures_of_sounds = recall_reel.measure_sounds(material, {leak: SOUND_LEAKS[leak]}, 1)
    assert figures_of_sounds[f"{leak}, 10 s"].shares()["held"] == 1.0
    document = recall_reel._document({}, figures_of_sounds, {})
    assert document["sound_pairs"] == 4
    assert document["sound_false_held"] == 0
    assert json.loads(json.dumps(document)) == document


class EnlargedPhotograph:
    """A photograph of 1,600 by 1,600 pixels, large enough to be decoded at a reduced size."""

    def at(self, size: Size) -> np.ndarray:
        if size is Size.L:
            raise TooSmall
        return np.asarray(PHOTOGRAPHS["astronaut"].open().convert("RGB").resize((1600, 1600)))


def test_hash_is_compared_with_pdqhash_for_each_way_to_read_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = [(name, PHOTOGRAPHS[name].open) for name in ("astronaut", "coffee")]
    monkeypatch.setattr(shrunk, "opened_first", lambda: two)
    monkeypatch.setattr(shrunk, "opened_later", list)
    monkeypatch.setattr(shrunk, "PHOTOGRAPHS", {"astronaut": EnlargedPhotograph()})
    for name in ("_OF_EACH", "_OF_ALL"):
        monkeypatch.setattr(shrunk, name, 2)
    shrunk.main([])
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(document["from_pdqhash"]) == set(shrunk.WAYS)
    for way, figures in document["from_pdqhash"].items():
        assert figures["files"] == 4
        assert figures["median"] <= figures["max"] <= (0 if way == "registering" else 8), way
    assert {one["filter"] for one in document["bits"]} == {"ours", "of the smaller size"}


def test_batch_signatures_cost_less_than_signing_with_both_keys() -> None:
    figures = signatures.measured(2)
    assert figures["sign_both_to_ed25519"] > 1
    assert figures["verify_both_to_ed25519"] > 1
    assert 0 < figures["set_as_batch_to_each"] < figures["sign_both_to_ed25519"]
