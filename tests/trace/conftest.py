"""Traces shared by all tests that only read them."""

import pytest

from tests.trace.report_desk import Desk, desk

NAMES = ("ben", "caro", "<b>dina & co</b>")


@pytest.fixture(scope="session")
def caro_leaked() -> Desk:
    return desk(NAMES, "caro")


@pytest.fixture(scope="session")
def original_leaked() -> Desk:
    return desk(NAMES)
