"""Rules for all tests: no socket but in those marked ``real``; one thread per matrix product."""

import os

# Before NumPy is loaded: two workers with two threads each only get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that meets a real server or program may open sockets; no other may."""
    for item in items:
        if item.get_closest_marker("real") is not None:
            item.add_marker(pytest.mark.enable_socket)
