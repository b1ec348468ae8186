"""Test that the benchmark of decoder processes prints the processor time per picture."""

import json
import sys

import pytest

from bench.stopping import children


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="processor time is read in /proc")
def test_processor_time_per_picture_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"_KEPT_FOR": (1, 8), "_ROUNDS": 1, "_PICTURES": 64}.items():
        monkeypatch.setattr(children, name, value)
    children.main([])
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["cpu_ms_by_pictures_per_child"]
    assert figures.keys() == {"1", "8"}
    assert min(figures.values()) > 0.0
