from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.send.commands.test_letters import Street


@pytest.fixture
def street(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Street]:
    """Ana and Ben, who know each other."""
    street = Street(tmp_path, monkeypatch, capsys)
    for who in ("ana", "ben"):
        street.settles(who)
    street.adds("ana", "ben")
    yield street
    monkeypatch.undo()
