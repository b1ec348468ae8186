"""One suite for the ledger, on every vault."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrenous.adapters.vault.ledger import VaultLedger
from entrenous.adapters.vault.memory import MemoryVault
from entrenous.adapters.vault.sqlcipher import SqlcipherVault
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import BlobId, MessageId, MessageName, RecipientId
from entrenous.model.message import Copy, Message, SentPicture, UnknownMessage
from entrenous.model.secret import Secret
from entrenous.model.verdict import Finding, Trace, Verdict
from entrenous.ports import Ledger

KEY = Secret(bytes(32))
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlcipher"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield VaultLedger(MemoryVault())
        return
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        yield VaultLedger(vault)


def sent(number: int, *pictures: SentPicture, after: timedelta = timedelta()) -> Message:
    return Message(
        id=MessageId(bytes([255 - number]) * 16),
        name=MessageName(f"{number}-lunar-otter"),
        sent_at=NOON + after,
        pictures=pictures or (picture(0),),
        caption="at the beach",
        expires_at=NOON + timedelta(days=30),
    )


def picture(ones: int) -> SentPicture:
    """One whose fingerprint has that many ones, at the front."""
    bits = ((1 << ones) - 1) << (256 - ones)
    print_ = Fingerprint("pdq", bits.to_bytes(32, "big"), 100)
    copy = Copy(RecipientId("ben"), Secret(b"s" * 32), b"h" * 32)
    return SentPicture(BlobId(bytes([ones]) * 16), print_, Secret(b"d" * 32), (copy,), 640)


def traced(number: int) -> Trace:
    verdict = Verdict(Finding.NOBODY, (), {RecipientId("ben"): 0.5}, {RecipientId("ben"): 0.1})
    return Trace(number, NOON, b"l" * 32, verdict, None, None)


def test_a_message_that_is_forgotten_is_gone_and_no_other(ledger: Ledger) -> None:
    one, other = sent(1), sent(2)
    for message in (one, other):
        ledger.record(message)
    for _ in range(2):
        ledger.forget(one.id)
        assert list(ledger.messages()) == [other]


def test_messages_come_back_whole_and_oldest_first(ledger: Ledger) -> None:
    new, old = sent(1, picture(3), picture(4), after=timedelta(hours=1)), sent(2)
    for message in (new, old):
        ledger.record(message)
    assert list(ledger.messages()) == [old, new]


def test_a_message_is_replaced_under_its_id(ledger: Ledger) -> None:
    ledger.record(sent(1))
    changed = replace(sent(1), caption=None)
    ledger.record(changed)
    assert list(ledger.messages()) == [changed]


def test_a_message_is_found_by_its_name_only(ledger: Ledger) -> None:
    ledger.record(sent(1))
    assert ledger.find("1-lunar-otter") == sent(1)
    for wrong in ("2-lunar-otter", "lunar-otter", "1-LUNAR-OTTER", ""):
        with pytest.raises(UnknownMessage):
            ledger.find(wrong)


def test_every_picture_is_near_and_the_nearest_comes_first(ledger: Ledger) -> None:
    far, both = sent(1, picture(200)), sent(2, picture(90), picture(10))
    for message in (far, both):
        ledger.record(message)
    near = ledger.near(picture(12).fingerprint)
    assert [pair[1].fingerprint for pair in near] == [
        picture(ones).fingerprint for ones in (10, 90, 200)
    ]
    assert [pair[0] for pair in near] == [both, both, far]


def test_traces_come_back_whole_and_oldest_first_beyond_nine(ledger: Ledger) -> None:
    for number in (2, 10, 1, 9):
        ledger.note(traced(number))
    assert [trace.number for trace in ledger.traces()] == [1, 2, 9, 10]
    assert ledger.traces()[0] == traced(1)


def test_the_ledger_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        VaultLedger(vault).record(sent(1))
        VaultLedger(vault).note(traced(1))
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        assert VaultLedger(vault).find("1-lunar-otter") == sent(1)
        assert VaultLedger(vault).traces() == (traced(1),)
