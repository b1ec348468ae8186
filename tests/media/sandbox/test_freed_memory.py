"""Tests of ``keep_freed_memory``: freed memory is used again, and mallopt may be missing."""

import subprocess
import sys
from typing import Final

import pytest

from entrenous.media.sandbox.confinement import keep_freed_memory

_PAGE_BYTES: Final = 4096
_CHILD_CODE: Final = """
import resource, sys, threading
from entrenous.media.sandbox.confinement import keep_freed_memory

def faults_of_many_requests():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({rounds}):
        blocks = [bytearray(size) for size in {sizes}]
        for block in blocks:
            block[::4096] = bytes(-(-len(block) // 4096))
        del block, blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun

kept = keep_freed_memory({limits})
results = []
thread = threading.Thread(target=lambda: results.append(faults_of_many_requests()))
thread.start()
thread.join()
sys.stdout.write(f"{{kept}} {{results[0]}}")
"""


@pytest.mark.parametrize(
    ("limits", "sizes", "rounds"),
    [
        ("", [100 * 1024 * size for size in range(1, 17)], 50),
        ("1 << 30, arenas=1", [48 << 20], 20),  # the limits of processes that make copies
    ],
)
def test_reused_memory_causes_page_faults_only_once(
    limits: str, sizes: list[int], rounds: int
) -> None:
    child = _CHILD_CODE.format(limits=limits, sizes=sizes, rounds=rounds)
    kept, faults = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, check=True
    ).stdout.split()
    if kept != "True":
        pytest.skip("this C library has no mallopt")
    assert int(faults) < 2 * sum(sizes) // _PAGE_BYTES


def test_keep_freed_memory_returns_false_without_mallopt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed_memory()
