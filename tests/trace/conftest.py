"""Traces shared by all tests that only read them."""

import pytest

from tests.trace.report_desk import TracedLeak, mark_and_trace

NAMES = ("ben", "caro", "<b>dina & co</b>")


@pytest.fixture(scope="session")
def caro_leaked() -> TracedLeak:
    return mark_and_trace(NAMES, "caro")


@pytest.fixture(scope="session")
def original_leaked() -> TracedLeak:
    return mark_and_trace(NAMES)
