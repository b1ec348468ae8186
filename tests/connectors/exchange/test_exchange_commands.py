"""``entrenous gate exchange`` in a gate's own folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from entrenous.base.errors import EntrenousError
from entrenous.connectors.exchange.commands import add_commands
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.exchange_partners import hold_source_lock
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.stop.exchange.exchange_for_tests import fake_hash


class Gate:
    """A gate's folder; a call runs an exchange command on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.app = typer.Typer()
        add_commands(self.app)

    def __call__(self, *words: str) -> dict[str, Any]:
        done = self._run(*words, "--json")
        said: dict[str, Any] = json.loads(done)
        return said

    def say(self, *words: str) -> str:
        return self._run(*words)

    def _run(self, *words: str) -> str:
        done = CliRunner().invoke(self.app, ["exchange", *words, "--data", str(self.data)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    def claim_count(self) -> int:
        with open_platform(self.data) as (platform, _):
            return platform.bank.count_claims_and_hashes().claims


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    with open_platform(tmp_path / "gate"):
        pass
    return Gate(tmp_path / "gate")


def test_partners_are_added_listed_and_removed(gate: Gate) -> None:
    made = gate("partner", "add", "friends", "--bank", "people", "--may-submit")
    assert (made["schema"], len(made["key"])) == ("entrenous/exchange-partner/1", 43)
    [shown] = gate("partner", "list")["partners"]
    assert shown == {"name": "friends", "banks": ["people"], "may_submit": True, "asked_at": None}
    assert made["key"] not in gate.say("partner", "list")
    with pytest.raises(EntrenousError, match="already"):
        gate("partner", "add", "friends")
    gate("partner", "remove", "friends")
    assert gate("partner", "list")["partners"] == []
    with pytest.raises(EntrenousError, match="no partner"):
        gate("partner", "remove", "friends")


def test_partners_and_sources_are_in_the_audit_log(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    gate("partner", "add", "friends", "--may-submit")
    gate("partner", "remove", "friends")
    gate("add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs", "--confirmed")
    with open_platform(gate.data) as (platform, _):
        events = [(row.what, row.of, dict(row.details)) for row in platform.bank.log(0, 100)]
    assert events[-3:] == [
        ("exchange partner added", "friends", {"banks": "people", "submits": True}),
        ("exchange partner removed", "friends", {}),
        (
            "exchange source added",
            "list",
            {"kind": "file", "bank": "theirs", "confirmed": True},
        ),
    ]


def test_concurrent_fetch_is_refused(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    gate("add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs")
    engine = open_engine(gate.data / "bank.db")
    with hold_source_lock(engine, "list"), pytest.raises(EntrenousError, match="still running"):
        gate.say("fetch")
    engine.dispose()
    assert gate.claim_count() == 0
    gate.say("fetch")
    assert gate.claim_count() == 1


def test_partner_with_unknown_bank_or_odd_name_is_refused(gate: Gate) -> None:
    for words in (("friends", "--bank", "elsewhere"), ("My Friends",), ("x",)):
        with pytest.raises(EntrenousError):
            gate("partner", "add", *words)
    assert gate("partner", "list")["partners"] == []


def test_fetch_follows_changes_of_a_file(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("\n".join(f"pdq {fake_hash(number).hex()}" for number in range(5)) + "\nodd\n")
    gate("add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs")
    [fetched] = gate("fetch")["sources"]
    assert (fetched["made"], fetched["refused"]) == (5, 1)
    assert gate.claim_count() == 5
    file.write_text("\n".join(fake_hash(number).hex() for number in range(1, 6)))
    [fetched] = gate("fetch", "list")["sources"]
    assert (fetched["made"], fetched["withdrawn"]) == (1, 1)
    [source] = gate("list")["sources"]
    assert (source["claims"], source["bank"]) == (5, "theirs")
    assert "5 claims" in gate.say("list")


def test_credentials_come_from_a_private_file_only(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRENOUS_EXCHANGE_CHARITY", raising=False)
    file = tmp_path / "keys"
    where = ("--kind", "ncmec", "--from", "https://charity.example", "--bank", "theirs")
    add = ("add", "charity", *where, "--credentials", str(file))
    with pytest.raises(EntrenousError, match="ENTRENOUS_EXCHANGE_CHARITY"):
        gate.say(*add)
    file.write_text("user:password")
    file.chmod(0o644)
    with pytest.raises(EntrenousError, match="chmod 600"):
        gate.say(*add)
    file.chmod(0o600)
    gate.say(*add)
    file.chmod(0o644)
    with pytest.raises(EntrenousError, match="chmod 600"):
        gate.say("fetch")


@pytest.mark.parametrize(
    "place",
    [
        "http://charity.example",
        "ftp://charity.example",
        "https://user:pass@charity.example",
        "https://charity.example/?key=1",
        "charity.example",
        "https://",
    ],
)
def test_addresses_that_are_not_private_are_refused(gate: Gate, place: str) -> None:
    with pytest.raises(EntrenousError):
        gate("add", "charity", "--kind", "stopncii", "--from", place, "--bank", "theirs")


def test_one_source_that_fails_does_not_stop_the_others(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    missing = tmp_path / "gone.txt"
    missing.write_text(fake_hash(2).hex())
    gate("add", "a-missing", "--kind", "file", "--from", str(missing), "--bank", "theirs")
    gate("add", "b-list", "--kind", "file", "--from", str(file), "--bank", "theirs")
    missing.unlink()
    with pytest.raises(EntrenousError):
        gate.say("fetch")
    assert gate.claim_count() == 1


def test_exchange_serves_the_gate_s_bank(gate: Gate) -> None:
    with open_platform(gate.data) as (platform, _):
        assert open_exchange(platform).feed is platform.bank
