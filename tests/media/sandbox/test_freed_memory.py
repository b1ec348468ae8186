"""Memory freed by a process is reused for its next request."""

import subprocess
import sys
from typing import Final

import pytest

from entrenous.media.sandbox.confinement import keep_freed_memory

_PAGES: Final = 100 * 1024 * (16 * 17 // 2) // 4096  # of 4 KiB in all blocks together
_ROUNDS: Final = 50
_CHILD: Final = f"""
import resource, sys, threading
from entrenous.media.sandbox.confinement import keep_freed_memory

def faults_of_many_requests():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({_ROUNDS}):
        blocks = [bytearray(100 * 1024 * size) for size in range(1, 17)]
        for block in blocks:
            block[::4096] = bytes(-(-len(block) // 4096))
        del block, blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun

kept = keep_freed_memory()
told = []
thread = threading.Thread(target=lambda: told.append(faults_of_many_requests()))
thread.start()
thread.join()
sys.stdout.write(f"{{kept}} {{told[0]}}")
"""


def test_memory_is_faulted_in_once() -> None:
    """Allocating and freeing 50 times faults the pages in once, also in a thread."""
    kept, faults = subprocess.run(
        [sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True
    ).stdout.split()
    if kept != "True":
        pytest.skip("this C library has no mallopt")
    assert int(faults) < 2 * _PAGES


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mallopt nothing is done and False is returned."""
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed_memory()
