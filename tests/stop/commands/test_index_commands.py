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

WHOLE_HASH, PART_HASH, OTHER_HASH = random_hashes(3, 4)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gate"
    with open_platform(folder) as (platform, _):
        register_claim(platform.bank, "a1", WHOLE_HASH, parts=(PART_HASH,))
    return folder


def run_index_command(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["index", *arguments])


def run_index_json(*arguments: str) -> dict[str, Any]:
    said = run_index_command(*arguments, "--json")
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    result: dict[str, Any] = json.loads(said.stdout)
    return result


def test_lookup_prints_distance_bank_and_state(data_folder: Path) -> None:
    near = flip_bits(WHOLE_HASH, range(0, 62, 2))
    result = run_index_json(
        "lookup",
        near.hex(),
        OTHER_HASH.hex(),
        PART_HASH.hex().upper(),
        "--data",
        str(data_folder),
    )
    assert result["schema"] == "entrenous/lookup/1"
    match = {"bank": "people", "claim": "a1", "state": "waiting"}
    assert result["hashes"] == [
        {"hex": near.hex(), "matches": [{**match, "distance": 31, "part": False}]},
        {"hex": OTHER_HASH.hex(), "matches": []},
        {"hex": PART_HASH.hex(), "matches": [{**match, "distance": 0, "part": True}]},
    ]


def test_lookup_without_match_exits_with_1(data_folder: Path) -> None:
    far = flip_bits(WHOLE_HASH, range(32)).hex()
    assert run_index_command("lookup", far, "--data", str(data_folder)).exit_code == 1
    assert run_index_command("lookup", WHOLE_HASH.hex(), "--data", str(data_folder)).exit_code == 0


def test_lookup_prints_sentences(data_folder: Path) -> None:
    said = run_index_command("lookup", WHOLE_HASH.hex(), "--data", str(data_folder)).stdout
    assert "1 match" in said
    assert "0 bits: waiting claim a1 in bank people" in said


def test_lookup_reports_a_repeated_frame_once_as_a_part(data_folder: Path) -> None:
    frames = VideoPrint(tuple(FramePrint(at_ms, OTHER_HASH, 90) for at_ms in (0, 500)))
    with open_platform(data_folder) as (platform, _):
        film = replace(platform.bank.claim(ClaimId("a1")), id=ClaimId("v1"), kind=VIDEO_KIND)
        platform.bank.register(Registration(film, video=frames))
    (lookup,) = run_index_json("lookup", OTHER_HASH.hex(), "--data", str(data_folder))["hashes"]
    assert [(one["claim"], one["part"]) for one in lookup["matches"]] == [("v1", True)]


def test_lookup_does_not_find_a_withdrawn_claim(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        claim = platform.bank.claims_on_pictures({1})[0][1]
        platform.bank.apply_event(claim.id, ClaimEvent.WITHDRAW)
    assert (
        run_index_json("lookup", WHOLE_HASH.hex(), "--data", str(data_folder))["hashes"][0][
            "matches"
        ]
        == []
    )


@pytest.mark.parametrize("fingerprint_hex", ["", "12", "g" * 64, "0" * 63, "0" * 66])
def test_lookup_refuses_invalid_fingerprints(data_folder: Path, fingerprint_hex: str) -> None:
    assert isinstance(
        run_index_command("lookup", fingerprint_hex, "--data", str(data_folder)).exception,
        BadFingerprint,
    )


def test_index_status_counts_hashes_and_rebuild_removes_withdrawn_ones(data_folder: Path) -> None:
    status = run_index_json("status", "--data", str(data_folder))
    assert (status["schema"], status["whole"], status["parts"]) == ("entrenous/index/1", 1, 1)
    assert 0 <= status["age_s"] < 60
    assert run_index_json("status", "--data", str(data_folder))["file_was"] == "sound"
    assert not status["withdrawn_waiting"]
    with open_platform(data_folder) as (platform, _):
        claim = platform.bank.claims_on_pictures({1})[0][1]
        platform.bank.apply_event(claim.id, ClaimEvent.WITHDRAW)
    assert run_index_json("rebuild", "--data", str(data_folder))["whole"] == 0
    status = run_index_json("status", "--data", str(data_folder))
    assert (status["whole"], status["in_base"], status["withdrawn_waiting"]) == (0, 0, False)


def test_index_status_reports_and_repairs_a_damaged_file(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    base = data_folder / "index" / "base"
    base.write_bytes(base.read_bytes()[:-1])
    assert run_index_json("status", "--data", str(data_folder))["file_was"] == "damaged"
    assert run_index_json("status", "--data", str(data_folder))["file_was"] == "sound"
    assert "was sound" in run_index_command("status", "--data", str(data_folder)).stdout


def test_index_has_the_configured_shards(data_folder: Path) -> None:
    """The commands and a serving gate use the configured number of shards. Index files for another
    number of shards are deleted.
    """
    (data_folder / "gate.toml").write_text("index_shards = 3\n")
    assert run_index_json("status", "--data", str(data_folder))["shards"] == 3
    with open_platform(data_folder, serves=True) as (platform, _):
        assert len(platform.index.find_near_hashes([WHOLE_HASH], part=False)) == 1
    assert {path.name for path in (data_folder / "index").glob("base*")} == {
        f"base-{number}-of-3" for number in range(3)
    }
    (data_folder / "gate.toml").unlink()
    run_index_command("rebuild", "--data", str(data_folder))
    assert [path.name for path in (data_folder / "index").glob("base*")] == ["base"]
