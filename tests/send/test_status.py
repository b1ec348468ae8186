"""Tests of status queries: which copies they ask relays about, and how often they read copies."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.identifiers import EnvelopeId, MessageId, MessageName
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.vault_tables import COPY_DELIVERY
from entrenous.send.fetch import fetch_messages
from entrenous.send.recall import recall_message
from entrenous.send.status import copies_to_query, query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.sizes import size
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow

#: States that can still change at the relay; ENDED_STATES has all others.
CHANGEABLE_STATES = (EnvelopeState.WAITING, EnvelopeState.DELIVERED, EnvelopeState.OPENED)
MESSAGE_COUNT = size(200, 1000)
ENDED_STATES = tuple(
    copy_state for copy_state in EnvelopeState if copy_state not in CHANGEABLE_STATES
)


def count_status_queries(ana: Person) -> int:
    """Query the status of sent messages, and return the number of copies that were asked about."""
    before = ana.courier.calls["envelope_status"]
    query_sent_messages(ana.device)
    return ana.courier.calls["envelope_status"] - before


def copy_state(ana: Person) -> EnvelopeState:
    (copy,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    return copy.state


def test_status_of_an_opened_copy_is_asked_until_it_expires(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    ben.open_newest()
    assert count_status_queries(ana) == count_status_queries(ana) == 1
    friends.clock.advance(days=31)
    assert count_status_queries(ana) == 0
    assert copy_state(ana) is EnvelopeState.OPENED


def test_status_of_an_unopened_copy_is_asked_until_it_is_known_to_have_ended(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=31)
    assert [count_status_queries(ana), count_status_queries(ana)] == [1, 0]
    assert copy_state(ana) is EnvelopeState.EXPIRED


def test_a_lost_relay_is_no_longer_asked_once_it_must_have_forgotten_a_copy(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    with ana.courier.replace_calls(envelope_status=error_trick(RelayUnreachable(host="x"))):
        expires_at = query_sent_messages(ana.device)[0].message.expires_at
        assert expires_at is not None
        friends.clock.moment = expires_at + timedelta(days=30)
        assert [count_status_queries(ana), count_status_queries(ana)] == [1, 1]
        assert copy_state(ana) is EnvelopeState.WAITING
        friends.clock.advance(days=1)
        fetch_messages(ana.device)
        # Ana's clock counts as implausible after a long absence.
        assert count_status_queries(ana) == 1
        friends.clock.advance(hours=1)
        assert count_status_queries(ana) == 0
    assert copy_state(ana) is EnvelopeState.EXPIRED


def test_the_page_no_longer_asks_about_a_copy_that_its_relay_must_have_forgotten(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    assert len(copies_to_query(50, ana.device)) == 1
    friends.clock.advance(days=62)  # 30 until the message expires, 31 more, and one for the clock
    fetch_messages(ana.device)
    friends.clock.advance(hours=1)  # until then, Ana's clock counts as implausible
    assert copies_to_query(50, ana.device) == ()
    assert copy_state(ana) is EnvelopeState.EXPIRED


def test_a_recalled_copy_is_no_longer_asked_about(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    recall_message(ana.send(SMALL_PICTURE, ben).name, ana.device)
    assert count_status_queries(ana) == 0


def test_status_reads_copies_once_and_asks_only_about_changeable_ones(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    first = ana.send(SMALL_PICTURE, ben).name
    for number in range(MESSAGE_COUNT - 1):
        store_similar_message(ana, first, number)
    reads = list[str]()
    honest = ana.vault.items

    def count_reads(table: str) -> Iterator[tuple[str, bytes]]:
        for key, record in honest(table):
            reads.append(table)
            yield key, record

    monkeypatch.setattr(ana.vault, "items", count_reads)
    shown = query_sent_messages(ana.device)
    assert (len(shown), sum(len(one.copies) for one in shown)) == (MESSAGE_COUNT, MESSAGE_COUNT)
    assert reads.count(COPY_DELIVERY) == MESSAGE_COUNT
    assert ana.courier.calls["envelope_status"] == 1 + MESSAGE_COUNT // 100


def store_similar_message(ana: Person, name: MessageName, number: int) -> None:
    """Store a message that resembles the message ``name`` and has one copy.

    If 100 divides ``number``, the state of the copy can still change. Otherwise the copy has ended,
    or was opened and has expired.
    """
    original = ana.device.ledger.message_named(name)
    (copy,) = (one for one in COPY_DELIVERY_TABLE.all(ana.vault) if one.message == original.id)
    id_ = MessageId(number.to_bytes(16))
    changeable = number % 100 == 0
    before = original.sent_at - timedelta(days=40)
    message = replace(original, id=id_, name=MessageName(f"{number}-like-{name}"))
    message = message if changeable else replace(message, sent_at=before, expires_at=before)
    ana.device.ledger.store_message(message)
    ended = (*ENDED_STATES, EnvelopeState.OPENED)[number % (len(ENDED_STATES) + 1)]
    delivery = replace(copy, message=id_, envelope=EnvelopeId(number.to_bytes(16)))
    delivery = replace(
        delivery, state=CHANGEABLE_STATES[0] if changeable else ended, opened=not changeable
    )
    COPY_DELIVERY_TABLE.store(delivery, delivery.envelope.hex(), ana.vault)
