"""Test of the benchmark against Meta's HMA, with a gate of Entrenous in place of HMA."""

from pathlib import Path

import numpy as np
import pytest

from bench.stopping import gates, hma
from bench.stopping.hashes import random_hashes

pytestmark = [pytest.mark.real, pytest.mark.nightly]


def test_figures_of_each_side_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ours, slow = tmp_path / "ours", tmp_path / "slow"
    for folder in (ours, slow):
        folder.mkdir()
        gates.fill(folder, 500)
    one = random_hashes(500, np.random.default_rng(7)).tobytes()[:32]
    with gates.gate(ours) as gate:
        theirs = gate._replace(url=f"{gate.url}/hma", path="/hma/m/lookup", good=b'"pdq":')
        figures = hma.measured(gate, theirs, slow, one, hma.Turns(1, 0.5))
    for side in ("gate", "hma", "gate_as_hma", "gate_with_slow_looks"):
        assert figures[f"{side}_post_per_s"] > 0
    for side in ("gate", "gate_as_hma", "gate_with_slow_looks"):
        assert figures[f"{side}_ratio"] > 0
    assert {f"gate_with_slow_looks_{what}" for what in ("made", "waiting", "skipped")} < set(
        figures
    )
    assert "gate_made" not in figures
