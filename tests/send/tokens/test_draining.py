"""Somebody who may write uses all her tokens to take another's keys away."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from entrenous.craft.crypto.tokens import send_token
from entrenous.model.envelope import PrekeyBundle
from entrenous.model.ids import DeviceId
from entrenous.model.relay_problem import TooMany
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow
from entrenous.send.acquaintance.people import contact_named
from entrenous.send.drawers import WINDOW_OUT, take_all
from entrenous.send.fetch import fetch_messages
from tests.send.room import Person, Room
from tests.send.room_text import writes


def claimed(room: Room, of: Person, token: Secret, key: DeviceId) -> Iterator[PrekeyBundle]:
    """All that one token gives out before it is told that this is too much."""
    url, mailbox, _ = of.home
    with suppress(TooMany):
        while True:
            yield room.honest.claim_prekeys(url, mailbox, token, key)


@pytest.mark.threat("prekey-depletion")
def test_with_every_key_drained_by_a_friend_messages_still_flow(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    (held,) = take_all(HeldWindow, WINDOW_OUT, ana.device.vault)
    key = contact_named("ben", ana.device).person.devices[0].device
    url, mailbox, owner = ben.home
    assert held.seed is not None
    taken = [
        bundle.one_time
        for index in range(held.next, held.until)
        for bundle in claimed(friends, ben, send_token(held.seed, index), key)
    ]
    assert taken.count(None) > 100
    assert friends.honest.prekey_count(url, mailbox, owner, key) == 0
    caro = friends.settles("caro")
    caro.adds(ben)  # on the fallback key, while nothing else is left
    writes(caro, "ben")
    writes(ben, "caro")
    writes(ana, "ben")
    assert (ben.received(), caro.received()) == (2, 1)
    fetch_messages(ben.device)
    assert friends.honest.prekey_count(url, mailbox, owner, key) == 50
