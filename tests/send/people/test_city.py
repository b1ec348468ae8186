"""A message to a large circle: each member gets a separate copy and envelope."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.identifiers import RecipientId
from entrenous.carry.relay_rows import StoredBlob
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter import prekeys
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.circle_members import create_or_extend_circle, resolve_recipients
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from tests.in_memory.courier import run_sync
from tests.send.send_device import RELAY_URL, Network, Person
from tests.sizes import size

PEOPLE_COUNT = size(32, 256)  # a circle has at most 256 people


def network_with_large_circle() -> tuple[Network, Person, list[Person]]:
    """Return a network, Ana, and the members of her circle."""
    network = Network()
    ana = network.set_up_person("ana")
    people = [network.set_up_person(f"friend {number}") for number in range(PEOPLE_COUNT)]
    for one in people:
        add_person(make_invite_link(one.device), one.name, ana.device)
    fetch_messages(ana.device)
    create_or_extend_circle("city", [one.name for one in people], ana.device)
    return network, ana, people


@pytest.mark.slow
def test_each_member_of_a_large_circle_gets_a_separate_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is only a text; ``python -m bench.send`` sends a picture to 256 people."""
    # Setting up the people is quicker with fewer keys.
    monkeypatch.setattr(prekeys, "ONE_TIME_KEYS_MAX", 2)
    network, ana, people = network_with_large_circle()
    recipients, expires_at = (
        resolve_recipients(["city"], ana.device),
        ana.device.clock.now() + timedelta(days=1),
    )
    draft = Draft(
        (),
        recipients.people,
        MessagePolicy(expires_at),
        text="hello",
        confirmed=frozenset({"city"}),
    )
    sent = send_message(replace(draft, circles=recipients.circles), ana.device)
    assert sent.devices == {RecipientId(one.name): 1 for one in people}

    relay_mail = network.relays[RELAY_URL].mail
    blobs = run_sync(relay_mail.read(lambda rows: rows.find(StoredBlob)))
    assert len({blob.envelope for blob in blobs}) == PEOPLE_COUNT
    assert len({blob.sha256 for blob in blobs}) == len(blobs)
    for one in people[:: PEOPLE_COUNT // 8]:
        assert one.open_newest().caption == "hello"
