"""Messages still arrive after a contact used send tokens to claim all one-time keys."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from entrenous.base.errors import TooMany
from entrenous.base.identifiers import DeviceId
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE
from entrenous.wire.relay_nouns import PrekeyBundle
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text


def claim_until_refused(
    network: Network, owner: Person, token: Secret, device_id: DeviceId
) -> Iterator[PrekeyBundle]:
    """Claim prekeys with one token until the relay refuses; yield each bundle."""
    url, mailbox, _ = owner.home
    with suppress(TooMany):
        while True:
            yield network.honest.claim_prekeys(url, mailbox, token, device_id)


@pytest.mark.threat("prekey-depletion")
def test_messages_arrive_after_a_friend_claimed_all_one_time_keys(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    (tokens,) = HELD_TOKEN_RANGE_TABLE.all(ana.device.vault)
    device_id = contact_named("ben", ana.device).person.devices[0].device
    url, mailbox, owner = ben.home
    assert tokens.seed is not None
    one_time_keys = [
        bundle.one_time
        for index in range(tokens.next, tokens.until)
        for bundle in claim_until_refused(
            friends, ben, derive_send_token(tokens.seed, index), device_id
        )
    ]
    assert one_time_keys.count(None) > 100
    assert friends.honest.prekey_count(url, mailbox, owner, device_id) == 0
    caro = friends.set_up_person("caro")
    caro.add_contact(ben)  # uses the fallback key, because no one-time key is left
    send_text(caro, "ben")
    send_text(ben, "caro")
    send_text(ana, "ben")
    assert (ben.received_count(), caro.received_count()) == (2, 1)
    fetch_messages(ben.device)
    assert friends.honest.prekey_count(url, mailbox, owner, device_id) == 50
