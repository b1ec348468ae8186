"""Fixtures: traces of a leaked copy and of a leaked original, shared by tests."""

import pytest

from tests.trace.traced_leak import TracedLeak, mark_and_trace

RECIPIENT_NAMES = ("ben", "caro", "<b>dina & co</b>")


@pytest.fixture(scope="session")
def leak_of_caros_copy() -> TracedLeak:
    return mark_and_trace(RECIPIENT_NAMES, "caro")


@pytest.fixture(scope="session")
def leak_of_original() -> TracedLeak:
    return mark_and_trace(RECIPIENT_NAMES)
