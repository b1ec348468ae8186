"""Tests of a thief who has recorded all letters and steals the whole unlocked vault.

The thief cannot decrypt letters that were read before the theft, except for recent first letters of
a session. The outer layer (X-Wing) protects a letter even if the inner layer (Olm) is broken, and
the inner layer even if the outer layer is broken; the tests break one layer at a time.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BadLetter, NotForThisMailbox
from entrenous.crypto.seal import HalfOpenedLetter, open_first_letter, open_letter, open_outer_seal
from entrenous.device.device import Vault
from entrenous.device.identities import OLM_ACCOUNT_RECORD, own_device
from entrenous.device.vault_tables import OWN_RECORDS
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.letter_format import read_header, read_sealed_letter, write_hpke_info
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, PEER_TABLE, OwnXWingKey
from entrenous.send.letter.read import _letter_address
from entrenous.send.open import open_message
from entrenous.wire.relay_nouns import WaitingEnvelope
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.send_text import send_text
from tests.village.malicious_relay import changed_answer_trick

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class RecordedLetter:
    """A recorded letter, with what a thief has after breaking its outer layer.

    ``key`` is the recipient's key of the outer layer; ``inner`` is the letter without that layer.
    """

    waiting: WaitingEnvelope
    key: OwnXWingKey
    info: bytes
    inner: HalfOpenedLetter

    @property
    def outer(self) -> bytes:
        return read_sealed_letter(self.waiting.sealed)[1]


@dataclass
class Recording:
    """A record of all letters and shares to one person, and of the vault before each fetch."""

    person: Person
    letters: dict[bytes, RecordedLetter] = field(default_factory=dict)
    vaults_before: dict[bytes, Vault] = field(default_factory=dict)
    shares: list[Secret] = field(default_factory=list)

    def record_letters(self, honest: Any, *arguments: Any) -> Any:
        letters = honest(*arguments)
        for one in letters:
            self.vaults_before[one.id] = copy_vault(self.person)
            self.letters[one.id] = self._record(one)
        return letters

    def record_share(self, honest: Any, *arguments: Any) -> Any:
        self.shares.append(honest(*arguments))
        return self.shares[-1]

    def _record(self, one: WaitingEnvelope) -> RecordedLetter:
        key_id, outer = read_sealed_letter(one.sealed)
        vault = self.person.device.vault
        key = OWN_XWING_KEY_TABLE.load(key_id.hex(), vault)
        assert key is not None
        peer = None if key.peer is None else PEER_TABLE.load(key.peer, vault)
        info = write_hpke_info(_letter_address(key, peer, own_device(self.person.device)))
        return RecordedLetter(one, key, info, open_outer_seal(key.private, info, outer))


@dataclass
class Conversation:
    """Ana and Ben, and a record of all letters that they send to each other."""

    network: Network
    recordings: dict[str, Recording]
    uses_fallback_key: bool = False

    def send_and_open(self, person: str, opens: int | None = None) -> None:
        """Let ``person`` send a message, and the other person fetch and open it."""
        ana, ben = self.network["ana"], self.network["ben"]
        sender, other = (ana, ben) if person == "ana" else (ben, ana)
        self.network.clock.advance(minutes=1)
        if opens is None:
            send_text(sender, other.name)
        else:
            sender.send(SMALL_PICTURE, other, opens=opens)
        fetch_messages(other.device)
        open_message(received_messages(other.device)[-1].name, other.device)

    def exchange_messages(self, count: int) -> None:
        for _ in range(count):
            self.send_and_open("ana")
            self.send_and_open("ben")
        self.fetch_all()

    def fetch_all(self) -> None:
        for _ in range(2):
            for one in self.network.people.values():
                fetch_messages(one.device)

    def letters(self) -> list[tuple[str, RecordedLetter]]:
        return [
            (to, one)
            for to, recording in self.recordings.items()
            for one in recording.letters.values()
        ]


@pytest.fixture(params=["one-time key", "fallback key"])
def conversation(request: pytest.FixtureRequest) -> Iterator[Conversation]:
    """Yield two contacts whose sessions begin with a one-time key or with the fallback key."""
    network = Network()
    people = [network.set_up_person(name) for name in ("ana", "ben")]
    conversation = Conversation(network, {one.name: Recording(one) for one in people})
    with ExitStack() as stack:
        for one in people:
            recording = conversation.recordings[one.name]
            tricks = {
                "waiting_envelopes": recording.record_letters,
                "open_share": recording.record_share,
            }
            if request.param == "fallback key":
                tricks["claim_prekeys"] = changed_answer_trick(
                    lambda keys: replace(keys, one_time=None)
                )
            stack.enter_context(one.courier.replace_calls(**tricks))
        people[0].add_contact(people[1])
        yield replace(conversation, uses_fallback_key=request.param == "fallback key")


def copy_vault(person: Person) -> MemoryVault:
    """Return a copy of all records and files of a vault."""
    vault = MemoryVault()
    vault._tables = {name: dict(records) for name, records in person.vault._tables.items()}
    vault._files = dict(person.vault._files)
    return vault


def can_open_outer_layer(vault: Vault, letter: RecordedLetter) -> bool:
    """Return whether a vault can open the outer layer, which is enough if Olm is broken."""
    return any(_can_key_open(key, letter) for key in OWN_XWING_KEY_TABLE.all(vault))


def _can_key_open(key: OwnXWingKey, letter: RecordedLetter) -> bool:
    try:
        open_outer_seal(key.private, letter.info, letter.outer)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def can_open_inner_layer(vault: Vault, letter: RecordedLetter) -> bool:
    """Return whether a vault can open the inner layer, which is enough if X-Wing is broken."""
    sessions = [one for peer in PEER_TABLE.all(vault) for one in peer.sessions]
    return any(_can_session_open(session, letter) for session in sessions) or _can_account_open(
        vault, letter
    )


def _can_session_open(session: Secret, letter: RecordedLetter) -> bool:
    try:
        open_letter(session, letter.inner)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def _can_account_open(vault: Vault, letter: RecordedLetter) -> bool:
    account = vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD)
    assert account is not None
    curve25519 = read_header(letter.inner.untrusted_header).curve25519
    try:
        open_first_letter(Secret(account), curve25519, letter.inner)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def has_secret(vault: MemoryVault, secret: Secret) -> bool:
    """Return whether the secret's bytes are anywhere in the vault."""
    records = (record for table in vault._tables.values() for record in table.values())
    return any(secret.reveal() in one for one in (*records, *vault._files.values()))


@pytest.mark.threat("later-theft")
def test_a_stolen_vault_decrypts_only_recent_first_letters(
    conversation: Conversation,
) -> None:
    conversation.exchange_messages(10)
    early = conversation.letters()
    assert len(early) > 20
    conversation.exchange_messages(1)
    stolen_vaults = {one.name: copy_vault(one) for one in conversation.network.people.values()}
    assert any(letter.key.peer is None for _, letter in early)
    for to, letter in early:
        for stolen_vault in stolen_vaults.values():
            # The recipient's vault keeps prekeys, which open first letters, for some days.
            is_recipient = stolen_vault is stolen_vaults[to]
            assert can_open_outer_layer(stolen_vault, letter) == (
                is_recipient and letter.key.peer is None
            )
            assert can_open_inner_layer(stolen_vault, letter) == (
                is_recipient and letter.inner.begins_session and conversation.uses_fallback_key
            )
    for to, letter in early:
        assert has_secret(stolen_vaults[to], letter.key.private) == (letter.key.peer is None)


@pytest.mark.threat("later-theft")
def test_no_early_letter_can_be_decrypted_once_prekeys_have_expired(
    conversation: Conversation,
) -> None:
    conversation.exchange_messages(1)
    early = conversation.letters()
    for days in (8, 15, 14):  # the fallback key is replaced at the second and at the third fetch
        conversation.network.clock.advance(days=days)
        conversation.fetch_all()
    conversation.exchange_messages(1)
    assert any(letter.key.peer is None for _, letter in early)
    for stolen_vault in [copy_vault(one) for one in conversation.network.people.values()]:
        for _, letter in early:
            assert not can_open_outer_layer(stolen_vault, letter)
            assert not can_open_inner_layer(stolen_vault, letter)
            assert not has_secret(stolen_vault, letter.key.private)


def test_vault_from_before_a_letter_was_read_opens_both_layers(conversation: Conversation) -> None:
    """Other tests expect that a stolen vault cannot open letters.

    This test shows that ``can_open_outer_layer`` and ``can_open_inner_layer`` can also be true.
    """
    conversation.exchange_messages(2)
    for recording in conversation.recordings.values():
        assert all(
            can_open_outer_layer(recording.vaults_before[one], letter)
            for one, letter in recording.letters.items()
        )
        assert all(
            can_open_inner_layer(recording.vaults_before[one], letter)
            for one, letter in recording.letters.items()
        )


@pytest.mark.threat("later-theft")
@pytest.mark.threat("view-once-bypass")
def test_stolen_vault_contains_no_share_of_a_view_once_message(conversation: Conversation) -> None:
    """The vault is stolen from Ben's device after he has opened the message."""
    fetch_messages(conversation.network["ben"].device)
    conversation.send_and_open("ana", opens=1)
    (share,) = conversation.recordings["ben"].shares[-1:]
    stolen_vault = copy_vault(conversation.network["ben"])
    shown = received_messages(conversation.network["ben"].device)[-1]
    assert (shown.manifest, shown.key, shown.kept) == (None, None, ())
    assert not has_secret(stolen_vault, share)
