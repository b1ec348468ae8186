"""Tests of the threats: each has a test or other evidence, and docs/threats.md is current."""

from collections.abc import Mapping

import pytest

from tests.house.threats import PAGE, Row, marked_tests, marks_in, rows, threats_page

pytestmark = pytest.mark.slow

# Ids of the threats to the protocol.
PROTOCOL_THREATS = (
    "view-once-bypass",
    "account-takeover",
    "server-adds-device",
    "key-confusion",
    "identity-misbinding",
    "linking-phish",
    "prekey-depletion",
    "receipt-probing",
    "notification-content",
    "gallery-auto-save",
    "metadata",
    "preview-bot",
    "n-plus-one-views",
    "backups-revive",
    "sender-frames",
    "stolen-device",
    "wrong-recipient",
    "downgrade",
    "hostile-network",
)
# Ids of the abuses of a fingerprint bank.
BANK_THREATS = (
    "claim-censors",
    "released-first",
    "uploads-flood",
    "claims-flood",
    "hash-inversion",
    "made-collision",
    "probing-registered",
    "withdrawal-ignored",
    "log-changed",
    "insider-decides",
    "reviewer-harm",
)
# Ids of the threats whose controls do not exist yet.
NOT_BUILT: set[str] = set()


def faults(all_rows: tuple[Row, ...], tests: Mapping[str, list[str]]) -> list[str]:
    """Return a description of each error in the rows of threats and in the marks of tests."""
    known = {row.id: row for row in all_rows}
    wrong = [
        f"{row}: no such row" for row in (*PROTOCOL_THREATS, *BANK_THREATS) if row not in known
    ]
    wrong += [f"{row}: marked, but there is no such row" for row in tests if row not in known]
    for row in all_rows:
        if not tests.get(row.id) and not row.also and not row.not_built:
            wrong.append(f"{row.id}: no test")
        if tests.get(row.id) and row.not_built:
            wrong.append(f"{row.id}: tested, so it is built")
    return wrong


def test_every_threat_has_a_test_or_is_named_as_not_built() -> None:
    all_rows = rows()
    assert faults(all_rows, marked_tests()) == []
    assert len({row.id for row in all_rows}) == len(all_rows)
    assert {row.id for row in all_rows if row.not_built} == NOT_BUILT


def test_page_matches_its_rows_and_tests() -> None:
    assert PAGE.read_text() == threats_page(rows(), marked_tests()), (
        "python -m tests.house.threats --write"
    )


UNTESTED_ROW = Row("view-once-bypass", "S", "it opens again", "counted")


@pytest.mark.parametrize(
    ("row", "tests", "fault"),
    [
        (UNTESTED_ROW, {}, "view-once-bypass: no test"),
        (UNTESTED_ROW, {"other": ["a::b"]}, "other: marked, but there is no such row"),
        (Row("x", "S", "t", "c"), {"x": ["a::b"]}, "view-once-bypass: no such row"),
        (Row("x", "S", "t", "c", not_built="y"), {"x": ["a::b"]}, "x: tested, so it is built"),
    ],
)
def test_faults_are_reported(row: Row, tests: dict[str, list[str]], fault: str) -> None:
    assert fault in faults((row,), tests)


def test_marks_are_read_from_decorators() -> None:
    source = """
@pytest.mark.threat("one")
@pytest.mark.threat("two")
@pytest.mark.parametrize("threat", ["three"])
def test_it() -> None:
    text = '@pytest.mark.threat("four")'

@pytest.mark.threat("five")
async def test_later() -> None: ...
"""
    assert list(marks_in(source)) == [
        ("test_it", "one"),
        ("test_it", "two"),
        ("test_later", "five"),
    ]
