"""A relay is put back from a backup: what its people ended since is ended once more, by them."""

import copy

import pytest

from entrenous.adapters.courier.memory import at_once
from entrenous.carry.restore import fail_closed
from entrenous.faces.relay.app import relay_app
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.ports import Relay
from entrenous.send.devices.lists.overview import overview
from entrenous.send.devices.revoke import revoke_device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import CLOSED
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.restores import look_for_restores
from entrenous.spec import EXPIRY_DAYS_MAX
from tests.send.room import HERE, Room
from tests.village.households import links
from tests.village.relay import village_relay
from tests.village.world import LoadedDice


class Restored:
    """A room whose relay can be put back to how it was."""

    def __init__(self) -> None:
        self.room = Room()
        self.relay: Relay
        self.relay, _ = village_relay(HERE, self.room.clock, LoadedDice("restored"))
        self.room.apps[HERE] = relay_app(self.relay)
        self.backup: object = None

    def saves(self) -> None:
        self.backup = copy.deepcopy(self.relay.mail)

    def is_put_back(self) -> None:
        self.room.clock.wind(hours=7)
        vars(self.relay.mail).update(vars(copy.deepcopy(self.backup)))
        at_once(fail_closed(self.relay, frozenset(), with_shares=False))


@pytest.mark.threat("backups-revive")
def test_a_revoked_device_is_revoked_again() -> None:
    town = Restored()
    ana = town.room.settles("ana")
    phone = links(town.room, ana, "phone", "phone")
    known = who_am_i(ana.device).home.close
    assert known is not None
    town.saves()
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    url, mailbox, owner = phone.home
    town.is_put_back()
    assert phone.device.courier.waiting(url, mailbox, owner, 0) == []  # it is there again
    fetch_messages(ana.device)
    assert overview(ana.device).to_close == ()
    with pytest.raises((NoSuchMailbox, WrongToken)):
        phone.device.courier.waiting(url, mailbox, owner, 0)
    with pytest.raises(WrongToken):  # what the thief knew deletes nothing
        phone.device.courier.close_mailbox(url, ana.home[1], known)
    town.room.clock.wind(hours=7)
    fetch_messages(ana.device)


def test_it_is_forgotten_in_time() -> None:
    town = Restored()
    ana = town.room.settles("ana")
    phone = links(town.room, ana, "phone", "phone")
    revoke_device("phone", lost=False, sheet=None, device=ana.device)
    assert ana.device.vault.keys(CLOSED) == (phone.home[1].hex(),)
    look_for_restores(ana.device)
    town.saves()
    town.room.clock.wind(days=EXPIRY_DAYS_MAX)
    town.is_put_back()
    fetch_messages(ana.device)
    assert ana.device.vault.keys(CLOSED) == ()
