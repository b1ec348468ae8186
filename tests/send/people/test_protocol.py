"""A contact gets a message only if both programs have a protocol version in common."""

import pytest

from entrenous.base.errors import HOW_TO_UPDATE
from entrenous.base.identity import ProtocolRange
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import OUTBOX
from entrenous.send.devices.device_lists import accept_contact_bundle
from entrenous.send.message.react import react
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import ContactProgramTooOld, OwnProgramTooOld
from entrenous.send.send import send_message
from tests.send.send_device import SMALL_PICTURE, Network
from tests.send.signed_lists import issue_key_bundle
from tests.send.test_guard import draft


def set_protocols(name: str, versions: ProtocolRange, network: Network) -> None:
    """Change a person's protocol versions, and give Ana the new key bundle."""
    ana, other = network["ana"].device, network[name]
    issue_key_bundle(other, speaks=versions)
    accept_contact_bundle(contact_named(name, ana), own_device(other.device).card, ana)


@pytest.mark.threat("downgrade")
@pytest.mark.parametrize("others", [(), ("caro",)])
def test_nothing_is_sealed_for_a_person_with_only_newer_protocols(
    friends: Network, others: tuple[str, ...]
) -> None:
    ana = friends["ana"]
    for name in others:
        ana.add_contact(friends.set_up_person(name))
    set_protocols("ben", ProtocolRange(3, 4), friends)
    before = ana.vault._files.copy(), ana.device.vault.keys(OUTBOX)
    with pytest.raises(OwnProgramTooOld) as raised:
        send_message(draft(ana, *others, "ben", confirmed=("ben", *others)), ana.device)
    text = " ".join(str(raised.value).split())
    assert text.startswith(
        "ben's program supports protocol versions 3 to 4; Entrenous on this device is older and "
        "uses 2. "
    )
    assert HOW_TO_UPDATE in text
    assert (ana.vault._files, ana.device.vault.keys(OUTBOX)) == before
    assert list(ana.device.ledger.messages()) == []
    assert [friends[name].received_count() for name in ("ben", *others)] == [0] * (1 + len(others))


@pytest.mark.threat("downgrade")
def test_nothing_is_sealed_for_a_person_with_only_older_protocols(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device list may not return to older protocol versions. So the test does not make Ben's
    program older, but Ana's program newer.
    """
    supported_versions = "entrenous.send.people.keep_contacts.PROTOCOLS_SPOKEN"
    ana = friends["ana"]
    monkeypatch.setattr(supported_versions, ProtocolRange(3, 4))
    with pytest.raises(
        ContactProgramTooOld, match="ben's program supports protocol versions 2 to 2"
    ) as raised:
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    assert HOW_TO_UPDATE in str(raised.value)
    assert friends["ben"].received_count() == 0


@pytest.mark.parametrize("versions", [ProtocolRange(2, 2), ProtocolRange(2, 9)])
def test_one_protocol_in_common_is_enough(friends: Network, versions: ProtocolRange) -> None:
    set_protocols("ben", versions, friends)
    friends["ana"].send(SMALL_PICTURE, friends["ben"])
    assert friends["ben"].received_count() == 1


@pytest.mark.slow
def test_reaction_skips_contacts_without_a_common_protocol(friends: Network) -> None:
    ana, ben, caro = friends["ana"], friends["ben"], friends.set_up_person("caro")
    ana.add_contact(caro)
    to_both = ana.send(SMALL_PICTURE, ben, caro).name
    to_ben = ana.send(SMALL_PICTURE, ben).name
    set_protocols("ben", ProtocolRange(3, 3), friends)
    assert react(to_both, "!", ana.device).to == ("caro",)
    with pytest.raises(OwnProgramTooOld):
        react(to_ben, "!", ana.device)
