"""Tests that a message does not open if its ID or a field of its manifest was changed.

The manifest is the part of a letter that describes the message. The tests change every field except
the relay's URL. Changed letters are tested in tests/send/letter/test_read.py and
tests/crypto/test_seal.py.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.errors import EntrenousError, WrongToken
from entrenous.base.identifiers import EnvelopeId, MessageId, MessageName, PersonId
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobChanged, DecryptionFailed
from entrenous.device.vault_tables import INBOX, inbox_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import index_message_name, received_messages, store_message_state
from entrenous.send.letter.letter_nouns import Manifest, MessageReference, PersonDeviceListHead
from entrenous.send.message.states import InboxState, ReceivedMessage
from entrenous.send.open import open_message
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network

pytestmark = pytest.mark.slow

WRONG_SECRET = Secret(bytes(32))
OTHER_LIST_HEAD = PersonDeviceListHead(PersonId(bytes(32)), 1, bytes(32))
ManifestChange = Callable[[Manifest], dict[str, Any]]

FIELD_CHANGES: dict[str, tuple[ManifestChange, type[EntrenousError]]] = {
    "name": (lambda _: {"name": MessageName("1-other-name")}, DecryptionFailed),
    "sent_at": (lambda m: {"sent_at": m.sent_at + timedelta(seconds=1)}, DecryptionFailed),
    "expires_at": (lambda _: {"expires_at": None}, DecryptionFailed),
    "opens": (lambda _: {"opens": 7}, DecryptionFailed),
    "may_export": (lambda _: {"may_export": True}, DecryptionFailed),
    "audience": (lambda m: {"audience": m.audience[:1]}, DecryptionFailed),
    "secret": (lambda _: {"secret": WRONG_SECRET}, DecryptionFailed),
    "blobs": (lambda m: {"blobs": (m.blobs[0], replace(m.blobs[1], size=9))}, BlobChanged),
    "fetch_token": (lambda _: {"fetch_token": WRONG_SECRET}, WrongToken),
    "open_token": (lambda _: {"open_token": WRONG_SECRET}, WrongToken),
    "heads": (lambda m: {"heads": (OTHER_LIST_HEAD, *m.heads[1:])}, DecryptionFailed),
    "marks": (lambda _: {"marks": (bytes(32),)}, DecryptionFailed),
    "reply": (
        lambda _: {"reply": MessageReference(OTHER_LIST_HEAD.person, MessageId(bytes(16)))},
        DecryptionFailed,
    ),
    "circle": (lambda _: {"circle": bytes(16)}, DecryptionFailed),
}


@cached_network
def network_with_message() -> Network:
    network = Network()
    ana, ben, caro = (network.set_up_person(name) for name in ("ana", "ben", "caro"))
    ana.add_contact(ben)
    ana.add_contact(caro)
    ana.send(SMALL_PICTURE, ben, caro, opens=3)
    fetch_messages(ben.device)
    return network


@pytest.fixture
def ben() -> Person:
    """Return Ben, who has an unopened message that Ana also sent to Caro."""
    return network_with_message()["ben"]


def waiting_message(person: Person) -> ReceivedMessage:
    (received,) = received_messages(person.device)
    assert received.manifest is not None
    return received


def test_every_manifest_field_except_the_relay_url_is_changed() -> None:
    assert {*FIELD_CHANGES, "relay_url"} == {field.name for field in fields(Manifest)}


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("field", FIELD_CHANGES)
def test_a_message_with_one_manifest_field_changed_does_not_open(ben: Person, field: str) -> None:
    honest = waiting_message(ben)
    change, error = FIELD_CHANGES[field]
    assert honest.manifest is not None
    other = replace(honest.manifest, **change(honest.manifest))
    assert other != honest.manifest
    store_message_state(replace(honest, manifest=other), InboxState.WAITING, ben.device)
    with pytest.raises(error):
        open_message(honest.name, ben.device)
    store_message_state(honest, InboxState.WAITING, ben.device)
    assert len(open_message(honest.name, ben.device).files) == 1


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("id_field", ["id", "envelope"])
def test_a_message_with_a_wrong_id_or_envelope_does_not_open(ben: Person, id_field: str) -> None:
    """The message does not open even if the relay releases the share of the right envelope."""
    honest = waiting_message(ben)
    wrong_ids: dict[str, Any] = {"id": MessageId(bytes(16)), "envelope": EnvelopeId(bytes(16))}
    other = replace(honest, **{id_field: wrong_ids[id_field]})
    ben.device.vault.drop(INBOX, inbox_key(honest.sender, honest.id))
    store_message_state(other, InboxState.WAITING, ben.device)
    index_message_name(other, ben.device)

    def release_by_right_envelope(answer: Any, url: str, _: bytes, *arguments: Any) -> Any:
        return answer(url, honest.envelope, *arguments)

    with (
        ben.courier.replace_calls(open_share=release_by_right_envelope),
        pytest.raises(DecryptionFailed),
    ):
        open_message(honest.name, ben.device)
