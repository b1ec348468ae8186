"""``entrenous gate bank``, ``partner`` and ``audit`` on a real database."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.stop.store.open_gate import open_platform

pytestmark = pytest.mark.slow

KEY = "0b" * 32


@pytest.fixture
def gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command; it returns exit status and output."""
    with open_platform(tmp_path / "gate"):
        pass

    def typed(*words: str) -> tuple[int, str]:
        status = run(["gate", *words, "--data", str(tmp_path / "gate")], {})
        return status, capsys.readouterr().out

    return typed


def test_banks_and_their_policies(gate: Any) -> None:
    status, said = gate("bank", "list", "--json")
    banks = json.loads(said)["banks"]
    assert (status, [bank["bank"] for bank in banks]) == (0, ["people", "released"])
    words = ("--radius", "24", "--shadow", "--on-confirmed", "hold", "--json")
    status, said = gate("bank", "policy", "people", *words)
    expected = {
        "schema": "entrenous/bank/1", "bank": "people", "radius": 24, "shadow": True,
        "on_claimed": "hold", "on_confirmed": "hold",
    }  # fmt: skip
    assert (status, json.loads(said)) == (0, expected)
    assert "shadow" in gate("bank", "list")[1]
    status, said = gate("bank", "policy", "people", "--live")
    assert said == "people: within 24 bits; claimed: hold, confirmed: hold\n"


def test_import_into_a_new_shadow_bank(gate: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(KEY + "\n")
    words = ("bank", "import", str(listed), "--confirmed", "--bank")
    status, said = gate(*words, "trial", "--shadow")
    assert (status, "trial: within 31 bits" in said, "in shadow" in said) == (0, True, True)
    assert gate(*words, "trial", "--shadow")[0] == 0
    gate("bank", "policy", "trial", "--live")
    # The bank is live, so new hashes would take effect at once.
    assert gate(*words, "trial", "--shadow")[0] == 3
    banks = {one["bank"]: one for one in json.loads(gate("bank", "list", "--json")[1])["banks"]}
    assert banks["trial"]["shadow"] is False


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_list_without_a_hash_makes_no_bank(gate: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    assert gate("bank", "import", str(tmp_path / "list.csv"), "--bank", "trial")[0] == 7
    assert gate("bank", "import", str(tmp_path), "--bank", "trial")[0] == 3
    assert "trial" not in gate("bank", "list")[1]


def test_policy_look_back_compares_earlier_uploads(gate: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(KEY + "\n")
    gate("bank", "import", str(listed), "--bank", "list", "--no-look-back")
    assert json.loads(gate("status", "--json")[1])["look_backs"] == 0
    status, said = gate("bank", "policy", "list", "--look-back")
    assert status == 0
    assert said.endswith("The running gate compares 1 claims with uploads that were let through.\n")
    assert json.loads(gate("status", "--json")[1])["look_backs"] == 1
    said = gate("bank", "policy", "list", "--shadow", "--look-back", "--json")[1]
    assert json.loads(said)["look_backs_due"] == 0


@pytest.mark.threat("claim-censors")
def test_operator_suspends_a_malicious_claim(gate: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(KEY + "\n")
    gate("bank", "import", str(listed), "--bank", "list", "--confirmed", "--no-look-back")

    def matches() -> list[Any]:
        (asked,) = json.loads(gate("index", "lookup", KEY, "--json")[1])["hashes"]
        return list(asked["matches"])

    (match,) = matches()
    claim = match["claim"]
    status, said = gate("bank", "suspend", claim)
    assert (status, said) == (
        0,
        f"Claim {claim} is suspended: nothing is held or refused for it.\n",
    )
    assert json.loads(gate("bank", "suspend", claim, "--json")[1]) == {
        "schema": "entrenous/claim/1", "claim": claim, "kind": "pdq", "state": "suspended",
    }  # fmt: skip
    assert matches() == []
    assert gate("bank", "suspend", "nobody")[0] == 4


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("people", "--on-claimed", "refuse"), 3),
        (("people", "--radius", "32"), 3),
        (("nothing", "--shadow"), 4),
        (("people", "--on-claimed", "perhaps"), 2),
    ],
)
def test_invalid_policies_are_refused(gate: Any, words: tuple[str, ...], status: int) -> None:
    before = gate("bank", "list", "--json")
    assert gate("bank", "policy", *words)[0] == status
    assert gate("bank", "list", "--json") == before


def test_help_lists_only_possible_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "bank", "policy", "--help"], {}) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "--on-claimed" in one]
    assert "[let through|hold]" in line
    assert "refuse" not in line


def test_import_with_look_back(gate: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32 + "\nno\n")
    status, said = gate("bank", "import", str(listed), "--bank", "lists", "--look-back", "--json")
    assert status == 0
    assert json.loads(said) | {"refused": []} == {
        "schema": "entrenous/import/1", "accepted": 1, "refused": [], "already": 0,
        "looked_back": 0,
    }  # fmt: skip
    assert gate("bank", "import", str(listed), "--bank", "lists")[1].startswith(
        "0 hashes were added to bank lists; 1 were there already."
    )


def test_import_of_a_list_with_byte_order_mark(gate: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32 + "\n" + "1f" * 32 + "\n", encoding="utf-8-sig")
    said = gate("bank", "import", str(listed), "--bank", "lists")[1]
    assert said == "2 hashes were added to bank lists.\n"


@pytest.mark.parametrize("data", [("0f" * 32 + "\n").encode("utf-16"), bytes(range(256)) * 9])
def test_import_of_a_file_that_is_no_list_is_refused(
    gate: Any, tmp_path: Path, data: bytes
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_bytes(data)
    assert gate("bank", "import", str(listed), "--bank", "lists") == (7, "")
    assert [one["bank"] for one in json.loads(gate("bank", "list", "--json")[1])["banks"]] == [
        "people", "released",
    ]  # fmt: skip


@pytest.mark.parametrize("bank", ["people", "released", "", "two\nlines"])
def test_import_needs_its_own_bank(gate: Any, tmp_path: Path, bank: str) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("0f" * 32)
    before = gate("bank", "list", "--json")
    assert gate("bank", "import", str(listed), "--bank", bank, "--confirmed") == (3, "")
    assert gate("bank", "list", "--json") == before


def test_partner_commands(gate: Any) -> None:
    assert gate("partner", "add", "another", KEY)[0] == 0
    status, said = gate("partner", "list", "--json")
    assert json.loads(said)["partners"] == [{"name": "another", "key": KEY}]
    assert (status, gate("partner", "list")[1]) == (0, f"another: {KEY}\n")
    for name, key in (("other", KEY), ("another", "0c" * 32)):
        assert gate("partner", "add", name, key)[0] == 3  # neither a second name nor a second key
    assert gate("partner", "add", "another", KEY)[0] == 0
    assert gate("partner", "add", "other", "0c" * 32)[0] == 0
    assert gate("partner", "drop", "other")[0] == 0
    assert gate("partner", "drop", KEY)[0] == 0
    assert gate("partner", "drop", KEY)[0] == 4
    assert gate("partner", "drop", "another")[0] == 4
    assert gate("partner", "add", "another", "0b")[0] == 7


def test_audit_verify_detects_a_change(gate: Any, tmp_path: Path) -> None:
    gate("bank", "policy", "people", "--shadow")
    status, said = gate("audit", "verify", "--json")
    head = json.loads(said)["head"]
    assert (status, json.loads(said)["rows"]) == (0, 3)
    gate("bank", "policy", "people", "--live")
    assert gate("audit", "verify", "--head", head)[0] == 0
    assert gate("audit", "verify", "--head", "3:" + "00" * 32)[0] == 5
    assert gate("audit", "verify", "--head", "nothing")[0] == 7
    with sqlite3.connect(tmp_path / "gate" / "bank.db") as db:
        db.execute("UPDATE audit SET details = '{}' WHERE number = 3")
    db.close()
    assert gate("audit", "verify")[0] == 5


@pytest.mark.parametrize("toml", ["claims_per_hour = 0", 'database = "mysql"', "x = 1", "]["])
def test_invalid_gate_settings_are_refused(gate: Any, tmp_path: Path, toml: str) -> None:
    (tmp_path / "gate" / "gate.toml").write_text(toml)
    assert gate("bank", "list")[0] in (3, 7)
