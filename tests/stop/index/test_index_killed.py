"""An index whose process was killed at a random time still agrees with a brute-force search."""

from pathlib import Path

import pytest

from tests.sizes import size
from tests.stop.index.index_kills import run_kills


@pytest.mark.real
@pytest.mark.parametrize("shard_count", [1, 4])
def test_index_survives_kills(tmp_path: Path, shard_count: int) -> None:
    """``python -m tests.stop.index.index_kills --kills 50`` tests more kills."""
    reported = run_kills(tmp_path, kill_count=size(2, 6), seed=20, shard_count=shard_count)
    assert reported.registered
