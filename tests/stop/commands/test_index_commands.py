"""``entrenous gate index lookup``, ``status`` and ``rebuild``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import VIDEO_KIND, BadFingerprint, FramePrint, VideoPrint
from entrenous.stop.commands.gate_index import add_commands
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.open_gate import open_platform
from tests.stop.index.brute_force import flip_bits
from tests.stop.index.index_banks import random_hashes, register_claim

pytestmark = pytest.mark.slow

ONE, PART, OTHER = random_hashes(3, 4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "gate"
    with open_platform(folder) as (platform, _):
        register_claim(platform.bank, "a1", ONE, parts=(PART,))
    return folder


def run_index(*words: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["index", *words])


def run_json(*words: str) -> dict[str, Any]:
    said = run_index(*words, "--json")
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    result: dict[str, Any] = json.loads(said.stdout)
    return result


def test_lookup_prints_distance_bank_and_state(data: Path) -> None:
    near = flip_bits(ONE, range(0, 62, 2))
    result = run_json("lookup", near.hex(), OTHER.hex(), PART.hex().upper(), "--data", str(data))
    assert result["schema"] == "entrenous/lookup/1"
    match = {"bank": "people", "claim": "a1", "state": "waiting"}
    assert result["hashes"] == [
        {"hex": near.hex(), "matches": [{**match, "distance": 31, "part": False}]},
        {"hex": OTHER.hex(), "matches": []},
        {"hex": PART.hex(), "matches": [{**match, "distance": 0, "part": True}]},
    ]


def test_lookup_without_match_exits_with_1(data: Path) -> None:
    far = flip_bits(ONE, range(32)).hex()
    assert run_index("lookup", far, "--data", str(data)).exit_code == 1
    assert run_index("lookup", ONE.hex(), "--data", str(data)).exit_code == 0


def test_lookup_prints_sentences(data: Path) -> None:
    said = run_index("lookup", ONE.hex(), "--data", str(data)).stdout
    assert "1 match" in said
    assert "0 bits: waiting claim a1 in bank people" in said


def test_lookup_reports_a_frame_once_as_a_part(data: Path) -> None:
    """Even if the video shows it more than once."""
    frames = VideoPrint(tuple(FramePrint(at_ms, OTHER, 90) for at_ms in (0, 500)))
    with open_platform(data) as (platform, _):
        film = replace(platform.bank.claim(ClaimId("a1")), id=ClaimId("v1"), kind=VIDEO_KIND)
        platform.bank.register(Registration(film, video=frames))
    (lookup,) = run_json("lookup", OTHER.hex(), "--data", str(data))["hashes"]
    assert [(one["claim"], one["part"]) for one in lookup["matches"]] == [("v1", True)]


def test_lookup_does_not_find_a_withdrawn_claim(data: Path) -> None:
    with open_platform(data) as (platform, _):
        claim = platform.bank.claims_on_pictures({1})[0][1]
        platform.bank.apply_event(claim.id, ClaimEvent.WITHDRAW)
    assert run_json("lookup", ONE.hex(), "--data", str(data))["hashes"][0]["matches"] == []


@pytest.mark.parametrize("text", ["", "12", "g" * 64, "0" * 63, "0" * 66])
def test_lookup_refuses_invalid_fingerprints(data: Path, text: str) -> None:
    assert isinstance(run_index("lookup", text, "--data", str(data)).exception, BadFingerprint)


def test_index_status_and_rebuild(data: Path) -> None:
    status = run_json("status", "--data", str(data))
    assert (status["schema"], status["whole"], status["parts"]) == ("entrenous/index/1", 1, 1)
    assert 0 <= status["age_s"] < 60
    assert run_json("status", "--data", str(data))["file_was"] == "sound"
    assert not status["withdrawn_waiting"]
    with open_platform(data) as (platform, _):
        claim = platform.bank.claims_on_pictures({1})[0][1]
        platform.bank.apply_event(claim.id, ClaimEvent.WITHDRAW)
    assert run_json("rebuild", "--data", str(data))["whole"] == 0
    status = run_json("status", "--data", str(data))
    assert (status["whole"], status["in_base"], status["withdrawn_waiting"]) == (0, 0, False)


def test_index_status_reports_a_damaged_file(data: Path) -> None:
    with open_platform(data) as (platform, _):
        FileIndex(data / "index", platform.bank)
    base = data / "index" / "base"
    base.write_bytes(base.read_bytes()[:-1])
    assert run_json("status", "--data", str(data))["file_was"] == "damaged"
    assert run_json("status", "--data", str(data))["file_was"] == "sound"
    assert "was sound" in run_index("status", "--data", str(data)).stdout


def test_index_has_the_configured_shards(data: Path) -> None:
    """A serving gate has them, too; files of an earlier number of shards are deleted."""
    (data / "gate.toml").write_text("index_shards = 3\n")
    assert run_json("status", "--data", str(data))["shards"] == 3
    with open_platform(data, serves=True) as (platform, _):
        assert len(platform.index.find_near_hashes([ONE], part=False)) == 1
    assert {path.name for path in (data / "index").glob("base*")} == {
        f"base-{number}-of-3" for number in range(3)
    }
    (data / "gate.toml").unlink()
    run_index("rebuild", "--data", str(data))
    assert [path.name for path in (data / "index").glob("base*")] == ["base"]
