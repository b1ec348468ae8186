"""Test of the transport benchmark: a small run that compares this source tree with itself."""

from pathlib import Path

import pytest

import bench.transport

pytestmark = [pytest.mark.real, pytest.mark.nightly]


def test_both_source_trees_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    figures = bench.transport.measure(root, None, people=1, pairs=1)
    assert figures["schema"] == bench.transport.SCHEMA
    assert figures["ours_s"] > 0
    assert figures["ratio"] == pytest.approx(figures["ours_s"] / figures["against_s"], abs=0.01)
