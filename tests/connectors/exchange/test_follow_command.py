"""Automatic fetching from sources, by a process that runs beside the gate."""

import logging
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from entrenous.base.identifiers import BankName
from entrenous.connectors.exchange.commands import fetch_due_sources
from entrenous.connectors.exchange.exchange_client import new_exchange_client
from entrenous.connectors.exchange.fetchers import fetch_from
from entrenous.stop.commands.gate_run import exchange_fetch_command
from entrenous.stop.exchange_fetch import FetchSchedule
from entrenous.stop.exchange_nouns import ExchangeServices, NoSuchSource, Source, SourceKind
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimState
from entrenous.stop.store.exchange_partners import hold_source_lock
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.postgres import Cluster
from tests.ready import run_program, start_program

FETCH_INTERVAL = timedelta(minutes=60)
LISTED_HASHES = ["0f" * 32, "1f" * 32, "2f" * 32]


def file_source(name: str, file: Path) -> Source:
    return Source(name, SourceKind.FILE, str(file), BankName("listed"))


@contextmanager
def open_gate(data_folder: Path) -> Iterator[tuple[Platform, ExchangeServices]]:
    with open_platform(data_folder) as (platform, _):
        yield platform, open_exchange(platform)


def fetch_due(schedule: FetchSchedule, exchange: ExchangeServices, platform: Platform) -> None:
    with new_exchange_client() as client:
        fetch_due_sources(schedule, exchange, platform, client)


def test_automatic_fetch_fetches_due_sources_and_withdraws_removed_hashes(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("\n".join(LISTED_HASHES))
    with open_gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(file_source("theirs", file))
        schedule = FetchSchedule(FETCH_INTERVAL)
        fetch_due(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 3
        assert platform.reviews.count_due_work().look_backs == 3
        file.write_text("\n".join(LISTED_HASHES[:2]))
        fetch_due(schedule, exchange, platform)
        # A new schedule, as after a restart, does not fetch the source again.
        fetch_due(FetchSchedule(FETCH_INTERVAL), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 3
        fetch_due(FetchSchedule(timedelta()), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 2


def test_failing_source_backs_off_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LISTED_HASHES[0])
    with open_gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(file_source("a-secret-place", tmp_path / "not-there.csv"))
        exchange.sources.add(file_source("theirs", file))
        schedule = FetchSchedule(FETCH_INTERVAL)
        with caplog.at_level(logging.WARNING):
            fetch_due(schedule, exchange, platform)
            fetch_due(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 1
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.getMessage() for one in records] == ["fetch failed: SourceUnreachable"]
    assert [one.said["again_s"] for one in records] == ["3600"]  # type: ignore[attr-defined]
    assert "secret" not in caplog.text
    assert "not-there" not in caplog.text


def test_unexpected_error_of_one_source_does_not_stop_other_sources(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LISTED_HASHES[0])

    def answer_with_an_error(_: httpx.Request) -> httpx.Response:
        raise ArithmeticError("https://secret.example")

    monkeypatch.setenv("ENTRENOUS_EXCHANGE_A_BROKEN", "token")
    with (
        open_gate(tmp_path / "gate") as (platform, exchange),
        httpx.Client(transport=httpx.MockTransport(answer_with_an_error)) as client,
    ):
        bank = BankName("listed")
        exchange.sources.add(
            Source("a-broken", SourceKind.HMA, "https://secret.example", bank, "B")
        )
        exchange.sources.add(file_source("theirs", file))
        schedule = FetchSchedule(FETCH_INTERVAL)
        with caplog.at_level(logging.WARNING):
            fetch_due_sources(schedule, exchange, platform, client)
            fetch_due_sources(schedule, exchange, platform, client)
        assert platform.bank.count_claims_and_hashes().hashes == 1
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.getMessage() for one in records] == ["fetch failed: ArithmeticError"]
    assert "secret" not in caplog.text


def test_unreadable_records_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LISTED_HASHES[0] + "\nnonsense\n")
    with open_gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(file_source("theirs", file))
        fetch_due(FetchSchedule(FETCH_INTERVAL), exchange, platform)
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.said["unreadable"] for one in records] == [1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.real)]
)
def test_automatic_fetch_skips_a_source_that_is_being_fetched(
    database_kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = tmp_path / "gate"
    data.mkdir(mode=0o700)
    if database_kind == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        (data / "gate.toml").write_text(f'database = "{cluster.create_database()}"\n')
    file = tmp_path / "list.csv"
    file.write_text(LISTED_HASHES[0])
    with open_gate(data) as (platform, exchange):
        exchange.sources.add(file_source("theirs", file))
        schedule = FetchSchedule(FETCH_INTERVAL)
        with hold_source_lock(platform.bank.engine, "theirs"):  # type: ignore[attr-defined]
            fetch_due(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 0
        fetch_due(FetchSchedule(FETCH_INTERVAL), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 1
    assert [one for one in caplog.records if one.name == "entrenous.gate"] == []


def test_fetch_uses_the_source_as_it_is_when_its_lock_is_held(tmp_path: Path) -> None:
    file, new_file = tmp_path / "list.csv", tmp_path / "new.csv"
    file.write_text("\n".join(LISTED_HASHES))
    new_file.write_text(LISTED_HASHES[0])
    with open_gate(tmp_path / "gate") as (platform, exchange), new_exchange_client() as client:
        read_before = replace(file_source("theirs", file), confirmed=True)
        exchange.sources.add(read_before)
        exchange.sources.remove("theirs")
        exchange.sources.add(file_source("theirs", new_file))
        fetch_from(read_before, exchange, platform, client)
        hashes = {entry.bits.hex(): entry.number for entry in platform.bank.entries(0)}
        assert list(hashes) == LISTED_HASHES[:1]
        [(_, claim)] = platform.bank.claims_on_pictures(hashes.values())
        assert claim.state is ClaimState.WAITING
        exchange.sources.remove("theirs")
        with pytest.raises(NoSuchSource):
            fetch_from(read_before, exchange, platform, client)


@pytest.mark.slow
def test_automatic_fetch_is_off_by_default(tmp_path: Path) -> None:
    with open_gate(tmp_path / "gate") as (_, exchange):
        exchange.sources.add(file_source("theirs", tmp_path / "not-there.csv"))
    ended = run_program(exchange_fetch_command(tmp_path / "gate"), typed=b"")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.mark.real
def test_automatic_fetch_ends_with_its_gate(tmp_path: Path) -> None:
    data = tmp_path / "gate"
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        address = f"http://127.0.0.1:{silent_server.getsockname()[1]}"
        with open_gate(data) as (_, exchange):
            bank = BankName("theirs")
            exchange.sources.add(Source("theirs", SourceKind.HMA, address, bank, "BANK"))
        (data / "gate.toml").write_text("fetch_minutes = 60\n")
        with start_program(exchange_fetch_command(data), stdin=subprocess.PIPE) as process:
            silent_server.settimeout(60)
            connection, _ = silent_server.accept()
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
            connection.close()
