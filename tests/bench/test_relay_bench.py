"""Test that the relay benchmark, run at a small size, reports every figure that its JSON must
contain.
"""

import json
from functools import partial
from pathlib import Path

import pytest

import bench.relay
from bench.load import ejabberd
from tests.postgres import Cluster

pytestmark = [pytest.mark.real, pytest.mark.nightly]

REQUIRED_FIGURES = {
    "schema",
    "durable_cycles_per_s",
    "p99_ms",
    "peer",
    "peer_cycles_per_s",
    "ratio",
    "blob_up_mb_s",
    "blob_down_mb_s",
    "rss_mb_2gb",
    "scan_of_disk_mb_s",
}

PEER_FIGURES = {"peer_cycles_per_s", "peer_load_cpu_us_per_cycle", "ratio"}


@pytest.fixture(autouse=True)
def _shrink_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.relay, "_BLOB", 4 << 20)
    monkeypatch.setattr(bench.relay, "_GB2", 64 << 20)
    scan = partial(bench.relay.disk_scan_mb_s, size=4 << 20)
    monkeypatch.setattr(bench.relay, "disk_scan_mb_s", scan)


def test_round_reports_every_agreed_figure(postgres: Cluster) -> None:
    round_result = bench.relay.one_round(0.4, postgres.create_database(), (1, 2))
    rss_mb = bench.relay.rss_of_two_gb()
    document = bench.relay._answer([round_result], rss_mb)
    assert document.keys() >= REQUIRED_FIGURES
    assert json.loads(json.dumps(document))["schema"] == "entrenous/bench-relay/1"
    only_with_a_peer = {"peer", *PEER_FIGURES} if ejabberd.version() is None else set()
    for name in document.keys() - only_with_a_peer - {"schema", "peer", "postgresql_by_relays"}:
        assert float(str(document[name])) >= 0, name
    assert set(round_result.postgres) == {1, 2}
    assert min(round_result.postgres.values()) > 0
    assert round_result.relay.count > 0
    assert rss_mb <= 150  # after transferring 64 MiB
    assert (
        f"{round_result.relay.count / round_result.relay.seconds:,.0f} cycles/s"
        in bench.relay._summary(round_result)
    )
    document_without_peer = bench.relay._answer(
        [round_result._replace(peer=None, postgres={})], None
    )
    assert document_without_peer.keys() == document.keys()
    missing = {name for name, value in document_without_peer.items() if value is None}
    postgresql = {"postgresql_cycles_per_s", "postgresql_of_sqlite"}
    assert missing - {"peer"} == PEER_FIGURES | {"rss_mb_2gb"} | postgresql
