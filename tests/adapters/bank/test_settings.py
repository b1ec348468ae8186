"""gate.toml: what an operator sets, and what is said of what cannot be used."""

from pathlib import Path

import pytest

from entrenous.adapters.bank.settings import GateSettings, gate_settings, read_gate_settings
from entrenous.model.gate import BadGateSettings, GateLimits


def test_without_a_file_everything_is_as_usual(tmp_path: Path) -> None:
    assert gate_settings(tmp_path) == GateSettings()


def test_what_is_set_counts(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(
        'database = "postgresql://gate@/gate"\nclaims_per_hour = 5\nlook_back_days = 0\n'
        "slow_looks = 7\nindex_shards = 4\nsecond_look_hashes = 9\nfetch_minutes = 90\n"
    )
    limits = GateLimits(claims_per_hour=5, look_back_days=0, slow_looks=7, second_look_hashes=9)
    assert gate_settings(tmp_path) == GateSettings("postgresql://gate@/gate", limits, 4, 90)


@pytest.mark.parametrize(
    "toml",
    [
        b"database = postgresql://u:hunter2@host/gate",
        b"hunter2 = 1",
        b'claims_per_hour = "hunter2"',
        b"claims_per_hour = 0",
        b"look_back_days = 366",
        b"slow_looks = -1",
        b"second_look_hashes = 0",
        b"index_shards = 0",
        b"index_shards = 65",
        b"fetch_minutes = -1",
        b"fetch_minutes = 0.01",
        b"fetch_minutes = 10081",
        b"fetch_minutes = nan",
        b"\xff",
    ],
)
def test_what_cannot_be_used_is_said_without_repeating_values(toml: bytes) -> None:
    with pytest.raises(BadGateSettings) as caught:
        read_gate_settings(toml)
    assert "gate.toml" in str(caught.value)
    assert "hunter2" not in str(caught.value).replace("field `hunter2`", "")
