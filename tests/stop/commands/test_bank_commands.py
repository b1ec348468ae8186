"""``entrenous gate bank``, ``partner`` and ``audit`` on a real database, and invalid settings."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.stop.store.open_gate import open_platform

pytestmark = pytest.mark.slow

LISTED_HASH = "0a" * 32
PARTNER_KEY = "0b" * 32


@pytest.fixture
def gate_cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Create a gate; return a function that runs a command and returns its status and output."""
    with open_platform(tmp_path / "gate"):
        pass

    def run_command(*arguments: str) -> tuple[int, str]:
        status = run(["gate", *arguments, "--data", str(tmp_path / "gate")], {})
        return status, capsys.readouterr().out

    return run_command


def test_banks_are_listed_and_their_policies_changed(gate_cli: Any) -> None:
    status, said = gate_cli("bank", "list", "--json")
    banks = json.loads(said)["banks"]
    assert (status, [bank["bank"] for bank in banks]) == (0, ["people", "released"])
    arguments = ("--radius", "24", "--shadow", "--on-confirmed", "hold", "--json")
    status, said = gate_cli("bank", "policy", "people", *arguments)
    expected = {
        "schema": "entrenous/bank/1", "bank": "people", "radius": 24, "shadow": True,
        "on_claimed": "hold", "on_confirmed": "hold",
    }  # fmt: skip
    assert (status, json.loads(said)) == (0, expected)
    assert "shadow" in gate_cli("bank", "list")[1]
    status, said = gate_cli("bank", "policy", "people", "--live")
    assert said == "people: within 24 bits; claimed: hold, confirmed: hold\n"


def test_import_in_shadow_creates_a_shadow_bank_and_refuses_a_live_bank(
    gate_cli: Any, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(LISTED_HASH + "\n")
    arguments = ("bank", "import", str(listed), "--confirmed", "--bank")
    status, said = gate_cli(*arguments, "trial", "--shadow")
    assert (status, "trial: within 31 bits" in said, "in shadow" in said) == (0, True, True)
    assert gate_cli(*arguments, "trial", "--shadow")[0] == 0
    gate_cli("bank", "policy", "trial", "--live")
    # The bank is live, so new hashes would take effect at once.
    assert gate_cli(*arguments, "trial", "--shadow")[0] == 3
    banks = {one["bank"]: one for one in json.loads(gate_cli("bank", "list", "--json")[1])["banks"]}
    assert banks["trial"]["shadow"] is False


@pytest.mark.parametrize("list_text", ["", " \n"])
def test_import_of_an_empty_list_or_a_folder_creates_no_bank(
    gate_cli: Any, tmp_path: Path, list_text: str
) -> None:
    (tmp_path / "list.csv").write_text(list_text)
    assert gate_cli("bank", "import", str(tmp_path / "list.csv"), "--bank", "trial")[0] == 7
    assert gate_cli("bank", "import", str(tmp_path), "--bank", "trial")[0] == 3
    assert "trial" not in gate_cli("bank", "list")[1]


def test_policy_look_back_is_scheduled_unless_the_bank_is_in_shadow_mode(
    gate_cli: Any, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(LISTED_HASH + "\n")
    gate_cli("bank", "import", str(listed), "--bank", "list", "--no-look-back")
    assert json.loads(gate_cli("status", "--json")[1])["look_backs"] == 0
    status, said = gate_cli("bank", "policy", "list", "--look-back")
    assert status == 0
    assert said.endswith("The running gate compares 1 claims with uploads that were let through.\n")
    assert json.loads(gate_cli("status", "--json")[1])["look_backs"] == 1
    said = gate_cli("bank", "policy", "list", "--shadow", "--look-back", "--json")[1]
    assert json.loads(said)["look_backs_due"] == 0


@pytest.mark.threat("claim-censors")
def test_claim_that_the_operator_suspends_matches_nothing(gate_cli: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(LISTED_HASH + "\n")
    gate_cli("bank", "import", str(listed), "--bank", "list", "--confirmed", "--no-look-back")

    def matches_of_listed_hash() -> list[Any]:
        (lookup,) = json.loads(gate_cli("index", "lookup", LISTED_HASH, "--json")[1])["hashes"]
        return list(lookup["matches"])

    (match,) = matches_of_listed_hash()
    claim = match["claim"]
    status, said = gate_cli("bank", "suspend", claim)
    assert (status, said) == (
        0,
        f"Claim {claim} is suspended: nothing is held or refused for it.\n",
    )
    assert json.loads(gate_cli("bank", "suspend", claim, "--json")[1]) == {
        "schema": "entrenous/claim/1", "claim": claim, "kind": "pdq", "state": "suspended",
    }  # fmt: skip
    assert matches_of_listed_hash() == []
    assert gate_cli("bank", "suspend", "nobody")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "exit_status"),
    [
        (("people", "--on-claimed", "refuse"), 3),
        (("people", "--radius", "32"), 3),
        (("nothing", "--shadow"), 4),
        (("people", "--on-claimed", "perhaps"), 2),
    ],
)
def test_invalid_policies_and_unknown_banks_are_refused(
    gate_cli: Any, arguments: tuple[str, ...], exit_status: int
) -> None:
    before = gate_cli("bank", "list", "--json")
    assert gate_cli("bank", "policy", *arguments)[0] == exit_status
    assert gate_cli("bank", "list", "--json") == before


def test_help_of_on_claimed_lists_only_possible_outcomes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["gate", "bank", "policy", "--help"], {}) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "--on-claimed" in one]
    assert "[let through|hold]" in line
    assert "refuse" not in line


def test_import_counts_added_hashes_known_hashes_and_looked_back_uploads(
    gate_cli: Any, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32 + "\nno\n")
    status, said = gate_cli(
        "bank", "import", str(listed), "--bank", "lists", "--look-back", "--json"
    )
    assert status == 0
    assert json.loads(said) | {"refused": []} == {
        "schema": "entrenous/import/1", "accepted": 1, "refused": [], "already": 0,
        "looked_back": 0,
    }  # fmt: skip
    assert gate_cli("bank", "import", str(listed), "--bank", "lists")[1].startswith(
        "0 hashes were added to bank lists; 1 were there already."
    )


def test_list_with_a_byte_order_mark_is_imported(gate_cli: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32 + "\n" + "1f" * 32 + "\n", encoding="utf-8-sig")
    said = gate_cli("bank", "import", str(listed), "--bank", "lists")[1]
    assert said == "2 hashes were added to bank lists.\n"


@pytest.mark.parametrize("list_bytes", [("0f" * 32 + "\n").encode("utf-16"), bytes(range(256)) * 9])
def test_import_of_a_file_that_is_not_utf_8_is_refused(
    gate_cli: Any, tmp_path: Path, list_bytes: bytes
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_bytes(list_bytes)
    assert gate_cli("bank", "import", str(listed), "--bank", "lists") == (7, "")
    assert [one["bank"] for one in json.loads(gate_cli("bank", "list", "--json")[1])["banks"]] == [
        "people", "released",
    ]  # fmt: skip


@pytest.mark.parametrize("bank", ["people", "released", "", "two\nlines"])
def test_import_into_a_built_in_or_invalid_bank_is_refused(
    gate_cli: Any, tmp_path: Path, bank: str
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32)
    before = gate_cli("bank", "list", "--json")
    assert gate_cli("bank", "import", str(listed), "--bank", bank, "--confirmed") == (3, "")
    assert gate_cli("bank", "list", "--json") == before


def test_partners_are_added_listed_and_dropped(gate_cli: Any) -> None:
    assert gate_cli("partner", "add", "another", PARTNER_KEY)[0] == 0
    status, said = gate_cli("partner", "list", "--json")
    assert json.loads(said)["partners"] == [{"name": "another", "key": PARTNER_KEY}]
    assert (status, gate_cli("partner", "list")[1]) == (0, f"another: {PARTNER_KEY}\n")
    for name, key in (("other", PARTNER_KEY), ("another", "0c" * 32)):
        # A name has one key, and a key has one name.
        assert gate_cli("partner", "add", name, key)[0] == 3
    assert gate_cli("partner", "add", "another", PARTNER_KEY)[0] == 0
    assert gate_cli("partner", "add", "other", "0c" * 32)[0] == 0
    assert gate_cli("partner", "drop", "other")[0] == 0
    assert gate_cli("partner", "drop", PARTNER_KEY)[0] == 0
    assert gate_cli("partner", "drop", PARTNER_KEY)[0] == 4
    assert gate_cli("partner", "drop", "another")[0] == 4
    assert gate_cli("partner", "add", "another", "0b")[0] == 7


def test_audit_verify_detects_a_wrong_head_and_a_changed_row(gate_cli: Any, tmp_path: Path) -> None:
    gate_cli("bank", "policy", "people", "--shadow")
    status, said = gate_cli("audit", "verify", "--json")
    head = json.loads(said)["head"]
    assert (status, json.loads(said)["rows"]) == (0, 3)
    gate_cli("bank", "policy", "people", "--live")
    assert gate_cli("audit", "verify", "--head", head)[0] == 0
    assert gate_cli("audit", "verify", "--head", "3:" + "00" * 32)[0] == 5
    assert gate_cli("audit", "verify", "--head", "nothing")[0] == 7
    with sqlite3.connect(tmp_path / "gate" / "bank.db") as db:
        db.execute("UPDATE audit SET details = '{}' WHERE number = 3")
    db.close()
    assert gate_cli("audit", "verify")[0] == 5


@pytest.mark.parametrize("toml", ["claims_per_hour = 0", 'database = "mysql"', "x = 1", "]["])
def test_invalid_gate_settings_are_refused(gate_cli: Any, tmp_path: Path, toml: str) -> None:
    (tmp_path / "gate" / "gate.toml").write_text(toml)
    assert gate_cli("bank", "list")[0] in (3, 7)
