"""Tests of letters that a device opens or refuses; refused ones change nothing in the vault.

Most refused letters have one wrong field, and are otherwise sealed as the sender's program would
seal them. In most tests, a correct letter opens afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from entrenous.base.errors import Malformed, Unproven
from entrenous.base.identifiers import EnvelopeId, MessageId
from entrenous.base.identity import ForkedDeviceList
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.seal import seal_letter
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import DEVICE_LIST, peer_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.letter_format import (
    write_body,
    write_header,
    write_hpke_info,
    write_sealed_letter,
)
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.letter_nouns import (
    PEER_TABLE,
    Body,
    Hello,
    KeyBundleNote,
    LetterAddress,
    NeedsUpdate,
    RecallNote,
    TokenRangeNote,
    UnknownBody,
)
from entrenous.send.letter.prekeys import make_own_xwing_key
from entrenous.send.letter.read import Letter, read_letter
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import (
    _letter_address,
    _letter_header,
    addressees,
    outer_parts_without_content,
)
from entrenous.send.people.keep_contacts import contact_named, forget_contact, store_contact
from entrenous.wire.cbor import encode
from entrenous.wire.relay_nouns import WaitingEnvelope
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.signed_lists import issue_key_bundle
from tests.village.malicious_relay import flip_bit

pytestmark = pytest.mark.slow

Change = Callable[[Any], Any]


def keep_unchanged(value: Any) -> Any:
    return value


@dataclass
class LetterForge:
    """Seals letters from one person to another with given changes."""

    sender: Person
    reader: Person

    def __post_init__(self) -> None:
        device = self.sender.device
        self.me = own_device(device)
        (self.to,) = addressees(contact_named(self.reader.name, device), device)
        ensure_session(self.to, device)
        peer_id = peer_key(self.reader.id, self.to.key.device)
        peer = PEER_TABLE.load(peer_id, device.vault)
        assert peer is not None
        self.peer = peer
        self.next_key = make_own_xwing_key(peer_id, self.me, device)

    def forge_letter(
        self,
        header: Change = keep_unchanged,
        address: Change = keep_unchanged,
        body: Body | None = None,
        sent_body: Body | None = None,
    ) -> WaitingEnvelope:
        """Seal a letter with a changed header or outer address. If ``sent_body`` is given, the
        letter contains ``sent_body``, but the header describes ``body``.
        """
        outer = outer_parts_without_content(self.sender.device)
        encoded = write_body(body or RecallNote(MessageId(bytes(16))))
        named = _letter_header(encoded, self.peer, self.to, outer, self.me, self.next_key)
        info = write_hpke_info(address(_letter_address(self.peer, self.to, self.me)))
        inside = encoded if sent_body is None else write_body(sent_body)
        hpke_sealed, session = seal_letter(
            self.peer.sessions[0],
            self.peer.seal_to.public,
            info,
            write_header(header(named)),
            inside,
        )
        # The next letter continues this session, so that Olm itself would accept that letter.
        self.peer = replace(self.peer, sessions=(session, *self.peer.sessions[1:]))
        sealed = write_sealed_letter(self.peer.seal_to.id, hpke_sealed)
        return WaitingEnvelope(outer.envelope, 1, sealed, outer.expires_at)

    def read(self, waiting: WaitingEnvelope) -> Letter:
        """Read a letter in one transaction, as fetching does."""
        device = self.reader.device
        with device.vault.transaction():
            return read_letter(waiting, own_device(device), device)

    def assert_refused(
        self,
        waiting: WaitingEnvelope,
        error: type[Exception] | tuple[type[Exception], ...] = NotForThisMailbox,
    ) -> None:
        before = {name: dict(records) for name, records in self.reader.vault._tables.items()}
        with pytest.raises(error):
            self.read(waiting)
        assert before == self.reader.vault._tables


@pytest.fixture(scope="module", params=["first letter", "later letter"])
def network_before_letter(request: pytest.FixtureRequest, two_friends: Network) -> Network:
    network = two_friends.copy()
    caro, ben = network.set_up_person("caro"), network["ben"]
    caro.add_contact(ben)
    if request.param == "later letter":
        caro.send(SMALL_PICTURE, ben)
        assert ben.received_count() == 1
        ben.send(SMALL_PICTURE, caro)
        assert caro.received_count() == 1
        return network
    # Caro's device has lost its session and begins a new one; Ben still knows Caro's key bundle.
    contact = contact_named("ben", caro.device)
    forget_contact("ben", caro.device)
    store_contact(contact, caro.device)
    return network


@pytest.fixture
def forge(network_before_letter: Network) -> LetterForge:
    """Return a LetterForge for Caro's first letter to Ben, or for a later one."""
    network = network_before_letter.copy()
    return LetterForge(network["caro"], network["ben"])


@pytest.mark.threat("letter-twice")
def test_the_honest_letter_opens_once(forge: LetterForge) -> None:
    honest = forge.forge_letter()
    letter = forge.read(honest)
    assert letter.person.id == forge.sender.id
    assert letter.body == RecallNote(MessageId(bytes(16)))
    forge.assert_refused(honest)


HEADER_CHANGES: dict[str, Change] = {
    "from person": lambda h: replace(h, from_person=bytes(32)),
    "from device": lambda h: replace(h, from_device=bytes(16)),
    "to person": lambda h: replace(h, to_person=h.from_person),
    "to device": lambda h: replace(h, to_device=h.from_device),
    "to epoch": lambda h: replace(h, to_epoch=h.to_epoch + 1),
    "used counter": lambda h: replace(h, counter=h.counter - 1),
    "invalid next key": lambda h: replace(h, next_key=replace(h.next_key, public=b"\xff" * 1216)),
    "curve25519": lambda h: replace(h, curve25519=bytes(31) + b"\x01"),
    "envelope": lambda h: replace(h, envelope=EnvelopeId(bytes(16))),
    "body": lambda h: replace(h, body_sha256=sha256(b"another")),
    "from head": lambda h: replace(h, from_head=bytes(32)),
    "to head": lambda h: replace(h, to_head=bytes(32)),
}


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("field", HEADER_CHANGES)
def test_a_header_with_one_wrong_field_is_refused(forge: LetterForge, field: str) -> None:
    forge.assert_refused(
        forge.forge_letter(header=HEADER_CHANGES[field]),
        error=(NotForThisMailbox, ForkedDeviceList),
    )
    forge.read(forge.forge_letter())


ADDRESS_CHANGES: dict[str, Change] = {
    "to person": lambda a: replace(a, to_person=bytes(32)),
    "to device": lambda a: replace(a, to_device=bytes(16)),
    "key": lambda a: replace(a, key=bytes(8)),
    "epoch": lambda a: replace(a, epoch=a.epoch + 1),
    "head": lambda a: replace(a, head=bytes(32)),
    "from": lambda a: replace(
        a,
        from_person=None if a.from_person else bytes(32),
        from_device=None if a.from_device else bytes(16),
    ),
    "from device": lambda a: replace(
        a, from_person=a.from_person or bytes(32), from_device=bytes(16)
    ),
}


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("field", ADDRESS_CHANGES)
def test_a_wrong_outer_address_is_refused(forge: LetterForge, field: str) -> None:
    def change_field(address: LetterAddress) -> LetterAddress:
        return ADDRESS_CHANGES[field](address)  # type: ignore[no-any-return]

    forge.assert_refused(forge.forge_letter(address=change_field))
    forge.read(forge.forge_letter())


def test_a_body_that_does_not_match_the_header_is_refused(forge: LetterForge) -> None:
    forge.assert_refused(forge.forge_letter(sent_body=RecallNote(MessageId(b"\x01" * 16))))
    forge.read(forge.forge_letter())


def test_a_repeated_message_id_is_refused(forge: LetterForge) -> None:
    message = forge.read(forge.forge_letter()).header.message
    forge.assert_refused(
        forge.forge_letter(header=lambda h: replace(h, message=message, counter=h.counter + 1))
    )
    forge.read(forge.forge_letter(header=lambda h: replace(h, counter=h.counter + 1)))


def test_a_letter_under_a_former_list_opens_and_under_an_unknown_one_does_not(
    forge: LetterForge,
) -> None:
    """The sending device may not know yet that another device of its owner changed the list."""
    reader = forge.reader.device
    contact = contact_named(forge.sender.name, reader)
    store_contact(replace(contact, person=replace(contact.person, epoch=2)), reader)
    forge.read(forge.forge_letter())
    reader.vault.drop(DEVICE_LIST, contact.person.id.hex())
    forge.assert_refused(forge.forge_letter(header=lambda h: replace(h, counter=h.counter + 1)))
    forge.read(forge.forge_letter(header=lambda h: replace(h, counter=h.counter + 1, from_epoch=2)))


def test_letters_from_a_removed_device_are_refused(forge: LetterForge) -> None:
    """Letters with an old key bundle that still lists the removed device are refused, too."""
    reader = forge.reader.device
    contact = contact_named(forge.sender.name, reader)
    gone = replace(contact.person, epoch=2, head=b"n" * 32, devices=())
    store_contact(replace(contact, person=gone), reader)
    forge.assert_refused(forge.forge_letter())
    bundle = forge.me.card
    forge.assert_refused(forge.forge_letter(body=Hello(bundle, Secret(bytes(32)), 0, None)))
    forge.assert_refused(forge.forge_letter(body=KeyBundleNote(bundle)))


@pytest.mark.threat("server-adds-device")
def test_a_sender_with_two_conflicting_lists_is_detected(forge: LetterForge) -> None:
    """A relay may show Ben one list of the sender while the sender uses another."""
    reader = forge.reader.device
    contact = contact_named(forge.sender.name, reader)
    newer = replace(contact.person, epoch=2, head=b"n" * 32)
    store_contact(replace(contact, person=newer), reader)
    older = forge.forge_letter(header=lambda h: replace(h, from_head=bytes(32)))
    forge.assert_refused(older, error=ForkedDeviceList)
    forge.assert_refused(
        forge.forge_letter(header=lambda h: replace(h, from_epoch=2)), error=ForkedDeviceList
    )
    forge.read(forge.forge_letter(header=lambda h: replace(h, from_epoch=2, from_head=b"n" * 32)))


def test_a_letter_to_a_former_device_list_must_name_its_hash(forge: LetterForge) -> None:
    issue_key_bundle(forge.reader)
    forge.assert_refused(forge.forge_letter(header=lambda h: replace(h, to_head=bytes(32))))
    issue_key_bundle(forge.reader)
    forge.assert_refused(forge.forge_letter(header=lambda h: replace(h, to_epoch=2)))
    forge.read(forge.forge_letter())


def test_an_unknown_kind_of_letter_is_reported_once_and_blocks_nothing(forge: LetterForge) -> None:
    reader = forge.reader.device
    letters = [
        forge.forge_letter(body=UnknownBody(4711, encode([1, "later"]))),
        forge.forge_letter(
            body=TokenRangeNote(Secret(bytes(32)), 0),
            header=lambda h: replace(h, counter=h.counter + 1),
        ),
    ]
    trick = {"waiting_envelopes": lambda _honest, *a: letters if a[-1] == 0 else []}
    with forge.reader.courier.replace_calls(**trick, acknowledge=lambda *_: None):
        fetched = fetch_messages(reader)
    assert [type(problem) for problem in fetched.problems] == [NeedsUpdate]
    assert fetch_messages(reader).problems == ()
    assert take_undecryptable_count(reader) == 0
    forge.read(forge.forge_letter(header=lambda h: replace(h, counter=h.counter + 2)))


def test_hello_must_carry_the_key_bundle_of_the_sending_device(
    forge: LetterForge, friends: Network
) -> None:
    anas_bundle = own_device(friends["ana"].device).card
    forge.assert_refused(forge.forge_letter(body=Hello(anas_bundle, Secret(bytes(32)), 0, None)))
    own = forge.me.card
    forge.assert_refused(
        forge.forge_letter(body=Hello(own[:-1] + bytes([own[-1] ^ 1]), Secret(bytes(32)), 0, None)),
        error=Unproven,
    )
    forge.assert_refused(
        forge.forge_letter(body=Hello(b"\xa0", Secret(bytes(32)), 0, None)), error=Malformed
    )
    forge.read(forge.forge_letter(body=Hello(own, Secret(bytes(32)), 0, None)))


def test_a_skipped_counter_may_arrive_late_but_not_too_late(forge: LetterForge) -> None:
    def letter_with_counter(number: int) -> WaitingEnvelope:
        return forge.forge_letter(header=lambda h: replace(h, counter=start + number))

    start = forge.peer.sent
    for number, opens in ((70, True), (71, True), (70, False), (8, True), (7, False), (72, True)):
        if opens:
            forge.read(letter_with_counter(number))
        else:
            forge.assert_refused(letter_with_counter(number))


def test_flipped_or_truncated_letter_is_refused_and_the_whole_one_opens(
    forge: LetterForge,
) -> None:
    honest = forge.forge_letter()
    for place in (0, 1, 8, 9, 500, 1128, 1129, 2000, -1):
        flipped_letter = replace(honest, sealed=flip_bit(honest.sealed, place))
        forge.assert_refused(flipped_letter, error=(NotForThisMailbox, Malformed))
    for cut in (0, 1, 9, 1000, -1):
        forge.assert_refused(replace(honest, sealed=honest.sealed[:cut]), error=Malformed)
    forge.read(honest)


def test_hello_with_an_older_key_bundle_does_not_replace_the_newer(forge: LetterForge) -> None:
    reader = forge.reader.device
    contact = contact_named(forge.sender.name, reader)
    newer = replace(contact, person=replace(contact.person, epoch=2))
    store_contact(newer, reader)
    old = forge.forge_letter(
        body=Hello(forge.me.card, Secret(b"m" * 32), 0, None),
        header=lambda h: replace(h, from_epoch=2),
    )
    trick = {"waiting_envelopes": lambda _honest, *a: [old] if a[-1] == 0 else []}
    with forge.reader.courier.replace_calls(**trick, acknowledge=lambda *_: None):
        fetch_messages(reader)
    assert contact_named(forge.sender.name, reader) == newer
