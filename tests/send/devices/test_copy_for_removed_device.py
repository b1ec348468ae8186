"""Test of a queued copy for a device that was removed from the owner's device list."""

from contextlib import suppress

import pytest

from entrenous.base.errors import DiskFailed, EntrenousError
from entrenous.device.sent_messages import SendState
from entrenous.device.vault_tables import OUTBOX
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.status import copy_deliveries
from tests.send.send_device import OTHER_RELAY_URL, SMALL_PICTURE, Network
from tests.village.households import add_linked_device, catch_up
from tests.village.malicious_relay import error_trick


@pytest.mark.slow
def test_queued_copy_for_a_lost_device_is_not_sent() -> None:
    """The phone's mailbox still exists. The copy for the phone counts as tried, not as refused."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    catch_up(ben, ana, ben, ana)
    phone = add_linked_device(network, ben, "phone", "phone")
    catch_up(ben, phone, ana, ben, phone, ana)
    with ana.courier.replace_calls(post=error_trick(DiskFailed())):
        with suppress(EntrenousError):
            ana.send(SMALL_PICTURE, ben)
        with ben.courier.replace_calls(close_mailbox=error_trick(DiskFailed())):
            revoke_device("phone", lost=True, sheet=None, device=ben.device)
            with suppress(EntrenousError):
                catch_up(ana)
    assert len(contact_named("ben", ana.device).person.devices) == 1
    flush_outbox(ana.device)
    assert ana.device.vault.keys(OUTBOX) == ()
    with suppress(EntrenousError):
        catch_up(phone)
    catch_up(ben)
    assert received_messages(phone.device) == ()
    (received,) = received_messages(ben.device)
    copies = copy_deliveries(ana.device.ledger.message_named(received.name), ana.device)
    left = [copy.departure for copy in copies]
    assert sorted(left) == sorted((SendState.ACKNOWLEDGED, SendState.TRIED))
