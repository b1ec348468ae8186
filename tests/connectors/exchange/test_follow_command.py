"""Sources fetched automatically by the process beside a gate."""

import logging
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.base.identifiers import BankName
from entrenous.connectors.exchange.commands import fetch_due_sources
from entrenous.connectors.exchange.exchange_client import new_exchange_client
from entrenous.stop.commands.gate_run import exchange_fetch_command
from entrenous.stop.exchange_fetch import FetchSchedule
from entrenous.stop.exchange_nouns import ExchangeServices, Source, SourceKind
from entrenous.stop.platform import Platform
from entrenous.stop.store.exchange_partners import hold_source_lock
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.postgres import Cluster
from tests.ready import run_program, start_program

EVERY = timedelta(minutes=60)
HASHES = ["0f" * 32, "1f" * 32, "2f" * 32]


def source(name: str, file: Path) -> Source:
    return Source(name, SourceKind.FILE, str(file), BankName("listed"))


@contextmanager
def gate(data: Path) -> Iterator[tuple[Platform, ExchangeServices]]:
    with open_platform(data) as (platform, _):
        yield platform, open_exchange(platform)


def fetch(schedule: FetchSchedule, exchange: ExchangeServices, platform: Platform) -> None:
    with new_exchange_client() as client:
        fetch_due_sources(schedule, exchange, platform, client)


def test_automatic_fetch_fetches_due_sources_and_withdraws(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("\n".join(HASHES))
    with gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(source("theirs", file))
        schedule = FetchSchedule(EVERY)
        fetch(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 3
        assert platform.reviews.count_due_work().look_backs == 3
        file.write_text("\n".join(HASHES[:2]))
        fetch(schedule, exchange, platform)
        # Another process, or the same after a restart, does not fetch it again, either.
        fetch(FetchSchedule(EVERY), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 3
        fetch(FetchSchedule(timedelta()), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 2


def test_failing_source_backs_off_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "list.csv"
    file.write_text(HASHES[0])
    with gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(source("a-secret-place", tmp_path / "not-there.csv"))
        exchange.sources.add(source("theirs", file))
        schedule = FetchSchedule(EVERY)
        with caplog.at_level(logging.WARNING):
            fetch(schedule, exchange, platform)
            fetch(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 1
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.getMessage() for one in records] == ["fetch failed: SourceUnreachable"]
    assert [one.said["again_s"] for one in records] == ["3600"]  # type: ignore[attr-defined]
    assert "secret" not in caplog.text
    assert "not-there" not in caplog.text


def test_unreadable_records_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "list.csv"
    file.write_text(HASHES[0] + "\nnonsense\n")
    with gate(tmp_path / "gate") as (platform, exchange):
        exchange.sources.add(source("theirs", file))
        fetch(FetchSchedule(EVERY), exchange, platform)
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.said["unreadable"] for one in records] == [1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def test_automatic_fetch_never_fetches_a_source_twice_at_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "gate"
    data.mkdir(mode=0o700)
    if kind == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        (data / "gate.toml").write_text(f'database = "{cluster.create_database()}"\n')
    file = tmp_path / "list.csv"
    file.write_text(HASHES[0])
    with gate(data) as (platform, exchange):
        exchange.sources.add(source("theirs", file))
        schedule = FetchSchedule(EVERY)
        with hold_source_lock(platform.bank.engine, "theirs"):  # type: ignore[attr-defined]
            fetch(schedule, exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 0
        fetch(FetchSchedule(EVERY), exchange, platform)
        assert platform.bank.count_claims_and_hashes().hashes == 1
    assert [one for one in caplog.records if one.name == "entrenous.gate"] == []


@pytest.mark.slow
def test_automatic_fetch_is_off_by_default(tmp_path: Path) -> None:
    with gate(tmp_path / "gate") as (_, exchange):
        exchange.sources.add(source("theirs", tmp_path / "not-there.csv"))
    ended = run_program(exchange_fetch_command(tmp_path / "gate"), typed=b"")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.mark.real
def test_automatic_fetch_ends_with_its_gate(tmp_path: Path) -> None:
    data = tmp_path / "gate"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with gate(data) as (_, exchange):
            bank = BankName("theirs")
            exchange.sources.add(Source("theirs", SourceKind.HMA, place, bank, "BANK"))
        (data / "gate.toml").write_text("fetch_minutes = 60\n")
        with start_program(exchange_fetch_command(data), stdin=subprocess.PIPE) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
            connection.close()
