"""Unreadable and refused letters are counted and dropped. A fault of the device loses no letter."""

from typing import Any

import pytest

from entrenous.base.errors import DiskFull, EntrenousError
from entrenous.base.identifiers import MessageId
from entrenous.device.lock_errors import DeviceWithoutRelay, UnlockNotConfirmed
from entrenous.device.vault_tables import UNDECRYPTABLE_LETTER
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import (
    ARRIVAL_HANDLERS,
    record_undecryptable_letter,
    take_undecryptable_count,
)
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.circles import CircleFull
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import NameTaken, UnknownPerson
from entrenous.wire.relay_nouns import RolledBack
from tests.send.send_device import SMALL_PICTURE, Network
from tests.village.malicious_relay import HonestCall

pytestmark = pytest.mark.slow


def test_an_undecryptable_letter_is_reported_once_and_not_kept(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)

    def corrupt(honest: HonestCall, *arguments: Any) -> Any:
        page = honest(*arguments)
        for waiting in page:
            object.__setattr__(waiting, "sealed", bytes(100_000))
        return page

    with ben.courier.replace_calls(waiting_envelopes=corrupt):
        assert fetch_messages(ben.device).letters_received == 1
    assert [record for _, record in ben.device.vault.items(UNDECRYPTABLE_LETTER)] == [b""]
    assert take_undecryptable_count(ben.device) == 1
    assert take_undecryptable_count(ben.device) == 0


@pytest.mark.threat("letters-that-are-none")
def test_the_count_of_undecryptable_letters_is_limited(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.letter.arrivals._COUNTED_LETTERS_MAX", 3)
    for number in range(9):
        record_undecryptable_letter(f"{number}", network["ben"].device)
    assert take_undecryptable_count(network["ben"].device) == 3


def send_failing_recall(
    friends: Network, error: EntrenousError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let Ana send Ben a recall and then a message. On arrival, the recall raises ``error``."""
    ana, ben = friends["ana"], friends["ben"]

    def fail_with_error(*_: Any) -> None:
        raise error

    monkeypatch.setitem(ARRIVAL_HANDLERS, RecallNote, fail_with_error)  # type: ignore[arg-type]
    (to,) = addressees(contact_named("ben", ana.device), ana.device)
    seal_and_queue_letter(
        RecallNote(MessageId(bytes(16))), to, outer_parts_without_content(ana.device), ana.device
    )
    fetch_messages(ana.device)
    ana.send(SMALL_PICTURE, ben)


@pytest.mark.parametrize(
    "error", [NameTaken(name="ben"), CircleFull(), UnknownPerson(name="ben", known="nobody yet")]
)
def test_a_refused_letter_does_not_block_later_ones(
    friends: Network, error: EntrenousError, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = friends["ben"]
    send_failing_recall(friends, error, monkeypatch)
    fetch_messages(ben.device)
    assert len(received_messages(ben.device)) == 1
    assert take_undecryptable_count(ben.device) == 1
    assert fetch_messages(ben.device).letters_received == 0


@pytest.mark.parametrize(
    "error", [RolledBack(), DeviceWithoutRelay(), UnlockNotConfirmed(), DiskFull()]
)
def test_a_fault_of_the_device_itself_loses_no_letter(
    friends: Network, error: EntrenousError, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = friends["ben"]
    send_failing_recall(friends, error, monkeypatch)
    with pytest.raises(type(error)):
        fetch_messages(ben.device)
    assert received_messages(ben.device) == ()
    monkeypatch.undo()
    assert fetch_messages(ben.device).letters_received == 2
    assert len(received_messages(ben.device)) == 1
    assert take_undecryptable_count(ben.device) == 0
