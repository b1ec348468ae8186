"""``entrenous gate status``: counts and warnings."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.cli import run
from entrenous.fingerprint.nouns import Match
from entrenous.stop.commands.gate_status import NO_APPEAL_WARNING, add_commands
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.reviewers import add_reviewer
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.stop.index.index_banks import random_hashes, register_claim

TRIAL_BANK = BankName("trial")


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gate"
    with open_platform(folder) as (platform, _):
        register_claim(platform.bank, "a1", *random_hashes(2, 4))
    (folder / "gate.toml").write_text('appeal_url = "https://a.example/appeal"\n')
    return folder


def run_status(data_folder: Path, *arguments: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    said = CliRunner().invoke(app, ["status", "--data", str(data_folder), *arguments])
    assert said.exit_code == 0, said.exception
    return said.stdout


def status_json(data_folder: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(run_status(data_folder, "--json"))
    return status


def quarantine_upload(
    data_folder: Path, hours_ago: float, upload_bytes: bytes | None = None
) -> str:
    with open_platform(data_folder) as (platform, _):
        at = platform.clock.now() - timedelta(hours=hours_ago)
        decision = Decision(Outcome.HOLD, "3f9a-70c2-b11e", ())
        platform.reviews.record_upload(Review(decision, at, ReviewState.WAITING), upload_bytes)
    return decision.case


def test_status_of_a_healthy_gate(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    quarantine_upload(data_folder, 23)
    said = run_status(data_folder)
    assert "Claims (pdq): 1 waiting." in said
    assert "1 reviews wait for a person, the oldest for 23 h." in said
    assert "The index's file is sound, written 0 h ago." in said
    assert "Nothing is wrong." in said
    status = status_json(data_folder)
    assert status["schema"] == "entrenous/gate-standing/1"
    assert status["claims"] == [{"kind": "pdq", "state": "waiting", "count": 1}]
    assert (status["hashes"], status["reviews"], status["wrong"]) == (2, 1, [])


def test_status_warns_of_a_missing_appeal_url(data_folder: Path) -> None:
    (data_folder / "gate.toml").unlink()
    assert any("set appeal_url in gate.toml" in line for line in status_json(data_folder)["wrong"])


def test_status_warns_of_undecryptable_uploads(data_folder: Path) -> None:
    """The warning ends once the old key is appended to the key file."""
    quarantine_upload(data_folder, 1, b"a picture")
    warning = "1 of the uploads that have waited longest cannot be decrypted"
    assert not any("cannot be decrypted" in line for line in status_json(data_folder)["wrong"])
    key = data_folder / "held.key"
    old = key.read_bytes()
    key.unlink()
    assert any(line.startswith(warning) for line in status_json(data_folder)["wrong"])
    key.write_bytes(key.read_bytes() + old)
    assert not any("cannot be decrypted" in line for line in status_json(data_folder)["wrong"])


def test_status_warns_of_an_old_review(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    quarantine_upload(data_folder, 25)
    said = run_status(data_folder)
    assert "The oldest review has waited 25 hours; look at it before 48 are over." in said
    assert "Nothing is wrong" not in said


def test_status_warns_of_a_missing_second_reviewer(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    (data_folder / "gate.toml").write_text("confirmers = 2\n")
    assert "Two people have to confirm, but there is only the operator" in run_status(data_folder)
    with open_platform(data_folder) as (platform, _):
        add_reviewer("ana", platform)
    assert status_json(data_folder)["wrong"] == [NO_APPEAL_WARNING]


def test_status_reports_a_damaged_or_missing_index(data_folder: Path) -> None:
    (missing,) = status_json(data_folder)["wrong"]
    assert missing == "The index has no file yet: a gate that starts in this folder creates it."
    base = data_folder / "index" / "base"
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    damaged = base.read_bytes()[:-64]
    base.write_bytes(damaged)
    assert "The index's file is damaged." in run_status(data_folder)
    assert base.read_bytes() == damaged


@pytest.mark.parametrize("arguments", [("status",), ("index", "status")])
def test_status_names_an_unusable_index_folder(
    data_folder: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (data_folder / "index" / "base").mkdir(parents=True)
    run(["gate", *arguments, "--data", str(data_folder)], {})
    said = capsys.readouterr().err
    assert str(data_folder / "index") in said
    assert "fault in Entrenous" not in said


def test_status_shows_shadow_counts(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        platform.bank.set_bank(Bank(TRIAL_BANK, shadow=True))
        for number, (bank, bits) in enumerate(
            [(TRIAL_BANK, 5), (TRIAL_BANK, 4), (TRIAL_BANK, 30), (PEOPLE_BANK, 0)]
        ):
            match = Match(bank, ClaimId("x"), bits, "as it is")
            decision = Decision(Outcome.LET_THROUGH, f"{number}", (match,), Outcome.REFUSE)
            at = platform.clock.now()
            platform.reviews.record_upload(Review(decision, at, ReviewState.CLOSED), None)
    line = "In shadow, trial would have done this in 30 days: refuse 3 (4 bits: 2, 30 bits: 1)."
    assert line in run_status(data_folder)
    cells = [(cell["distance"], cell["count"]) for cell in status_json(data_folder)["shadow"]]
    assert cells == [(4, 2), (30, 1)]


def test_status_warns_of_exposed_files(data_folder: Path) -> None:
    with open_platform(data_folder) as (platform, _):
        FileIndex(data_folder / "index", platform.bank)
    (data_folder / "gate.toml").touch(0o644)
    (data_folder / "operator.token").chmod(0o640)
    (data_folder / "index" / "base").chmod(0o604)
    assert status_json(data_folder)["wrong"] == []  # the folder's mode keeps other accounts out
    data_folder.chmod(0o755)
    said = f"Others may read or change index/base, operator.token: chmod -R go= {data_folder}"
    assert status_json(data_folder)["wrong"] == [said]
    assert said in run_status(data_folder)


def test_status_warns_of_a_full_disk(data_folder: Path) -> None:
    settings = data_folder / "gate.toml"
    settings.write_text(f"{settings.read_text()}free_mb_min = {1 << 40}\n")
    case = quarantine_upload(data_folder, 0)
    with open_platform(data_folder) as (platform, _):
        platform.reviews.store_review_bytes(case, b"a large upload", 20)
        assert not platform.reviews.review(case).has_bytes
    assert any(
        f"less than {1 << 40:,} MB free" in line for line in status_json(data_folder)["wrong"]
    )
    settings.write_text(f"{settings.read_text()}".replace(f"{1 << 40}", "0"))
    assert not any("are free" in line for line in status_json(data_folder)["wrong"])
