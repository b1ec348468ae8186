"""QR codes that two devices show each other, to check that both know the same keys."""

import base64
from dataclasses import replace
from hashlib import sha256

import pytest

from entrenous.base.identity import Trust
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.compare_keys import accept_qr_code, qr_code_text_for
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, store_contact
from entrenous.send.people.people_nouns import CodeDoesNotMatch, CodeOfOwnDevice, NoCodeInPicture
from tests.send.send_device import Network, Person

pytestmark = [pytest.mark.threat("link-in-other-hands"), pytest.mark.slow]


@pytest.fixture
def contacts_by_link(network: Network) -> Network:
    """Ana and Ben, who are contacts by an invite link."""
    add_person(make_invite_link(network["ben"].device), "ben", network["ana"].device)
    fetch_messages(network["ben"].device)
    return network


def trust_in(name: str, person: Person) -> Trust:
    return contact_named(name, person.device).trust


def test_scanning_a_code_marks_keys_compared_on_the_scanning_device(
    contacts_by_link: Network,
) -> None:
    ana, ben = contacts_by_link["ana"], contacts_by_link["ben"]
    assert accept_qr_code("ben", qr_code_text_for("ana", ben.device), ana.device).compared
    assert (trust_in("ben", ana), trust_in("ana", ben)) == (Trust.COMPARED, Trust.BY_LINK)
    assert accept_qr_code("ana", qr_code_text_for("ben", ana.device), ben.device).compared


def test_comparison_code_matches_the_specification(contacts_by_link: Network) -> None:
    ana, ben = contacts_by_link["ana"], contacts_by_link["ben"]
    digest = sha256(b"entrenous/1 keys face to face\x00" + ana.id + ben.id).digest()
    text = base64.b32encode(digest).decode().rstrip("=")
    assert qr_code_text_for("ben", ana.device) == f"ENTRENOUS:KEYS:1:{text}"


def test_own_comparison_code_is_refused(contacts_by_link: Network) -> None:
    ana = contacts_by_link["ana"]
    with pytest.raises(CodeOfOwnDevice):
        accept_qr_code("ben", qr_code_text_for("ben", ana.device), ana.device)
    assert trust_in("ben", ana) is Trust.BY_LINK


@pytest.mark.parametrize("text", ["", "entrenous:1:AAAA", "https://relay.example", "ENTRENOUS:"])
def test_unrelated_qr_code_is_refused(contacts_by_link: Network, text: str) -> None:
    ana = contacts_by_link["ana"]
    with pytest.raises(NoCodeInPicture):
        accept_qr_code("ben", text, ana.device)
    assert trust_in("ben", ana) is Trust.BY_LINK


@pytest.mark.parametrize("trust_before", [Trust.UNKNOWN, Trust.BY_LINK, Trust.COMPARED])
def test_mismatching_code_resets_trust_unless_keys_were_compared(
    contacts_by_link: Network, trust_before: Trust
) -> None:
    """The code was made for Ana and Mallory, so it does not match Ben's keys."""
    ana, mallory = contacts_by_link["ana"], contacts_by_link.set_up_person("mallory")
    add_person(make_invite_link(ana.device), "ana", mallory.device)
    scanned_code = qr_code_text_for("ana", mallory.device)
    store_contact(replace(contact_named("ben", ana.device), trust=trust_before), ana.device)
    with pytest.raises(CodeDoesNotMatch):
        accept_qr_code("ben", scanned_code, ana.device)
    trust_after = Trust.COMPARED if trust_before is Trust.COMPARED else Trust.UNKNOWN
    assert trust_in("ben", ana) is trust_after
