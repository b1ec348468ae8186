"""Every threat of the protocol has a test of its control, and docs/threats.md names it."""

from collections.abc import Mapping

import pytest

from tests.house.threats import PAGE, Row, marked, marks_in, page, rows

pytestmark = pytest.mark.slow

# The rows of section 2 of the protocol.
PROTOCOL = (
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
# Abuses of a fingerprint bank.
BANK = (
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
# Threats whose controls do not exist yet; remove a threat here when its control is built.
NOT_BUILT: set[str] = set()


def faults(every: tuple[Row, ...], tests: Mapping[str, list[str]]) -> list[str]:
    """Return descriptions of everything that is wrong with rows and marks."""
    known = {row.id: row for row in every}
    wrong = [f"{row}: no such row" for row in (*PROTOCOL, *BANK) if row not in known]
    wrong += [f"{row}: marked, but there is no such row" for row in tests if row not in known]
    for row in every:
        if not tests.get(row.id) and not row.also and not row.not_built:
            wrong.append(f"{row.id}: no test")
        if tests.get(row.id) and row.not_built:
            wrong.append(f"{row.id}: tested, so it is built")
    return wrong


def test_every_threat_has_a_test_or_is_named_as_not_built() -> None:
    every = rows()
    assert faults(every, marked()) == []
    assert len({row.id for row in every}) == len(every)
    assert {row.id for row in every if row.not_built} == NOT_BUILT


def test_the_page_is_as_its_rows_and_tests_are() -> None:
    assert PAGE.read_text() == page(rows(), marked()), "python -m tests.house.threats --write"


ONE = Row("view-once-bypass", "S", "it opens again", "counted")


@pytest.mark.parametrize(
    ("row", "tests", "words"),
    [
        (ONE, {}, "view-once-bypass: no test"),
        (ONE, {"other": ["a::b"]}, "other: marked, but there is no such row"),
        (Row("x", "S", "t", "c"), {"x": ["a::b"]}, "view-once-bypass: no such row"),
        (Row("x", "S", "t", "c", not_built="y"), {"x": ["a::b"]}, "x: tested, so it is built"),
    ],
)
def test_faults_are_reported(row: Row, tests: dict[str, list[str]], words: str) -> None:
    assert words in faults((row,), tests)


def test_marks_are_found_where_they_stand() -> None:
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
