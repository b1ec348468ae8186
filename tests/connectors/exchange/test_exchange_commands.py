"""The commands ``entrenous gate exchange``: partners, sources, credentials and fetches."""

import json
import os
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


class ExchangeCommandLine:
    """Runs ``entrenous gate exchange`` on the folder of a gate."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.app = typer.Typer()
        add_commands(self.app)

    def run_json(self, *arguments: str) -> dict[str, Any]:
        printed: dict[str, Any] = json.loads(self.run(*arguments, "--json"))
        return printed

    def run(self, *arguments: str) -> str:
        done = CliRunner().invoke(self.app, ["exchange", *arguments, "--data", str(self.data)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    def count_claims(self) -> int:
        with open_platform(self.data) as (platform, _):
            return platform.bank.count_claims_and_hashes().claims


@pytest.fixture
def command_line(tmp_path: Path) -> ExchangeCommandLine:
    with open_platform(tmp_path / "gate"):
        pass
    return ExchangeCommandLine(tmp_path / "gate")


def test_partners_are_added_listed_and_removed(command_line: ExchangeCommandLine) -> None:
    added = command_line.run_json("partner", "add", "friends", "--bank", "people", "--may-submit")
    assert (added["schema"], len(added["key"])) == ("entrenous/exchange-partner/1", 43)
    [shown] = command_line.run_json("partner", "list")["partners"]
    assert shown == {"name": "friends", "banks": ["people"], "may_submit": True, "asked_at": None}
    assert added["key"] not in command_line.run("partner", "list")
    with pytest.raises(EntrenousError, match="already"):
        command_line.run_json("partner", "add", "friends")
    command_line.run_json("partner", "remove", "friends")
    assert command_line.run_json("partner", "list")["partners"] == []
    with pytest.raises(EntrenousError, match="no partner"):
        command_line.run_json("partner", "remove", "friends")


def test_partners_and_sources_are_in_the_audit_log(
    command_line: ExchangeCommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    command_line.run_json("partner", "add", "friends", "--may-submit")
    command_line.run_json("partner", "remove", "friends")
    command_line.run_json(
        "add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs", "--confirmed"
    )
    with open_platform(command_line.data) as (platform, _):
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


def test_concurrent_fetch_is_refused(command_line: ExchangeCommandLine, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    command_line.run_json("add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs")
    engine = open_engine(command_line.data / "bank.db")
    with hold_source_lock(engine, "list"), pytest.raises(EntrenousError, match="still running"):
        command_line.run("fetch")
    engine.dispose()
    assert command_line.count_claims() == 0
    command_line.run("fetch")
    assert command_line.count_claims() == 1


def test_partner_with_unknown_bank_or_odd_name_is_refused(
    command_line: ExchangeCommandLine,
) -> None:
    for arguments in (("friends", "--bank", "elsewhere"), ("My Friends",), ("x",)):
        with pytest.raises(EntrenousError):
            command_line.run_json("partner", "add", *arguments)
    assert command_line.run_json("partner", "list")["partners"] == []


@pytest.mark.parametrize("bank", ["people", "released", "My Bank; rm", ""])
def test_source_needs_a_bank_of_its_own_with_a_valid_name(
    command_line: ExchangeCommandLine, tmp_path: Path, bank: str
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    with pytest.raises(EntrenousError):
        command_line.run_json("add", "list", "--kind", "file", "--from", str(file), "--bank", bank)
    assert command_line.run_json("list")["sources"] == []


def test_bank_of_released_uploads_cannot_be_shared(command_line: ExchangeCommandLine) -> None:
    with pytest.raises(EntrenousError, match="cannot be shared"):
        command_line.run_json("partner", "add", "friends", "--bank", "people", "--bank", "released")
    assert command_line.run_json("partner", "list")["partners"] == []


def test_fetch_follows_changes_of_a_file(command_line: ExchangeCommandLine, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("\n".join(f"pdq {fake_hash(number).hex()}" for number in range(5)) + "\nodd\n")
    command_line.run_json("add", "list", "--kind", "file", "--from", str(file), "--bank", "theirs")
    [fetched] = command_line.run_json("fetch")["sources"]
    assert (fetched["made"], fetched["refused"]) == (5, 1)
    assert command_line.count_claims() == 5
    file.write_text("\n".join(fake_hash(number).hex() for number in range(1, 6)))
    [fetched] = command_line.run_json("fetch", "list")["sources"]
    assert (fetched["made"], fetched["withdrawn"]) == (1, 1)
    [source] = command_line.run_json("list")["sources"]
    assert (source["claims"], source["bank"]) == (5, "theirs")
    assert "5 claims" in command_line.run("list")


def test_credentials_file_must_be_private(
    command_line: ExchangeCommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRENOUS_EXCHANGE_CHARITY", raising=False)
    file = tmp_path / "keys"
    location = ("--kind", "ncmec", "--from", "https://charity.example", "--bank", "theirs")
    add = ("add", "charity", *location, "--credentials", str(file))
    with pytest.raises(EntrenousError, match="ENTRENOUS_EXCHANGE_CHARITY"):
        command_line.run(*add)
    file.write_text("user:password")
    file.chmod(0o644)
    with pytest.raises(EntrenousError, match="chmod 600"):
        command_line.run(*add)
    file.chmod(0o600)
    command_line.run(*add)
    file.chmod(0o644)
    with pytest.raises(EntrenousError, match="chmod 600"):
        command_line.run("fetch")


def test_credentials_in_the_environment_must_be_text(
    command_line: ExchangeCommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = ("--kind", "ncmec", "--from", "https://charity.example", "--bank", "theirs")
    command_line.run("add", "charity", *location)
    monkeypatch.setenv("ENTRENOUS_EXCHANGE_CHARITY", os.fsdecode(b"user:\xff"))
    with pytest.raises(EntrenousError, match="not in the right form"):
        command_line.run("fetch")


@pytest.mark.parametrize(
    "address",
    [
        "http://charity.example",
        "ftp://charity.example",
        "https://user:pass@charity.example",
        "https://charity.example/?key=1",
        "charity.example",
        "https://",
        "https://xn--a/",
    ],
)
def test_source_address_must_use_https_and_contain_no_secret(
    command_line: ExchangeCommandLine, address: str
) -> None:
    with pytest.raises(EntrenousError):
        command_line.run_json(
            "add", "charity", "--kind", "stopncii", "--from", address, "--bank", "theirs"
        )


def test_failing_source_does_not_stop_other_sources(
    command_line: ExchangeCommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(fake_hash(1).hex())
    missing = tmp_path / "gone.txt"
    missing.write_text(fake_hash(2).hex())
    command_line.run_json(
        "add", "a-missing", "--kind", "file", "--from", str(missing), "--bank", "theirs"
    )
    command_line.run_json(
        "add", "b-list", "--kind", "file", "--from", str(file), "--bank", "theirs"
    )
    missing.unlink()
    with pytest.raises(EntrenousError):
        command_line.run("fetch")
    assert command_line.count_claims() == 1


def test_exchange_serves_the_bank_of_the_gate(command_line: ExchangeCommandLine) -> None:
    with open_platform(command_line.data) as (platform, _):
        assert open_exchange(platform).feed is platform.bank
