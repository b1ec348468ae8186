"""A thief takes the whole unlocked vault at a time t, and has recorded all letters before.

Letters that were sent and opened before t stay closed: the outer layer (X-Wing) protects them even
if the inner one (Olm) is broken, and the inner one if the outer is. The tests break one at a time.
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
from tests.send.room_text import send_text
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.village.malicious_relay import changed_answer_trick

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class RecordedLetter:
    """A recorded letter, with what breaking its outer layer would give to the thief.

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
    """A record of all letters to one person, and of the vault just before each of them."""

    who: Person
    letters: dict[bytes, RecordedLetter] = field(default_factory=dict)
    before: dict[bytes, Vault] = field(default_factory=dict)
    shares: list[Secret] = field(default_factory=list)

    def waiting(self, honest: Any, *arguments: Any) -> Any:
        came = honest(*arguments)
        for one in came:
            self.before[one.id] = copied_vault(self.who)
            self.letters[one.id] = self._record(one)
        return came

    def open_share(self, honest: Any, *arguments: Any) -> Any:
        self.shares.append(honest(*arguments))
        return self.shares[-1]

    def _record(self, one: WaitingEnvelope) -> RecordedLetter:
        key_id, outer = read_sealed_letter(one.sealed)
        vault = self.who.device.vault
        key = OWN_XWING_KEY_TABLE.load(key_id.hex(), vault)
        assert key is not None
        peer = None if key.peer is None else PEER_TABLE.load(key.peer, vault)
        info = write_hpke_info(_letter_address(key, peer, own_device(self.who.device)))
        return RecordedLetter(one, key, info, open_outer_seal(key.private, info, outer))


@dataclass
class Conversation:
    """Ana and Ben, and a record of everything that they send to each other."""

    network: Network
    recordings: dict[str, Recording]
    uses_fallback_key: bool = False

    def send_and_open(self, who: str, opens: int | None = None) -> None:
        """Let ``who`` write, and the other one fetch and open the message."""
        ana, ben = self.network["ana"], self.network["ben"]
        sender, other = (ana, ben) if who == "ana" else (ben, ana)
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
    """Let sessions begin with a one-time key, or with the fallback key after the last of these."""
    network = Network()
    people = [network.set_up_person(name) for name in ("ana", "ben")]
    conversation = Conversation(network, {one.name: Recording(one) for one in people})
    with ExitStack() as stack:
        for one in people:
            recording = conversation.recordings[one.name]
            tricks = {"waiting_envelopes": recording.waiting, "open_share": recording.open_share}
            if request.param == "fallback key":
                tricks["claim_prekeys"] = changed_answer_trick(
                    lambda keys: replace(keys, one_time=None)
                )
            stack.enter_context(one.courier.replace_calls(**tricks))
        people[0].add_contact(people[1])
        yield replace(conversation, uses_fallback_key=request.param == "fallback key")


def copied_vault(who: Person) -> MemoryVault:
    """Return a copy of all records and files of a vault."""
    vault = MemoryVault()
    vault._tables = {name: dict(records) for name, records in who.vault._tables.items()}
    vault._files = dict(who.vault._files)
    return vault


def opens_outer(vault: Vault, letter: RecordedLetter) -> bool:
    """Return whether a vault opens the outer layer, which is enough if Olm is broken."""
    return any(_key_opens(key, letter) for key in OWN_XWING_KEY_TABLE.all(vault))


def _key_opens(key: OwnXWingKey, letter: RecordedLetter) -> bool:
    try:
        open_outer_seal(key.private, letter.info, letter.outer)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def opens_inner(vault: Vault, letter: RecordedLetter) -> bool:
    """Return whether a vault opens the inner layer, which is enough if X-Wing is broken."""
    sessions = [one for peer in PEER_TABLE.all(vault) for one in peer.sessions]
    return any(_session_opens(session, letter) for session in sessions) or _account_opens(
        vault, letter
    )


def _session_opens(session: Secret, letter: RecordedLetter) -> bool:
    try:
        open_letter(session, letter.inner)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def _account_opens(vault: Vault, letter: RecordedLetter) -> bool:
    account = vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD)
    assert account is not None
    curve25519 = read_header(letter.inner.untrusted_header).curve25519
    try:
        open_first_letter(Secret(account), curve25519, letter.inner)
    except (NotForThisMailbox, BadLetter):
        return False
    return True


def contains(vault: MemoryVault, secret: Secret) -> bool:
    """Return whether the secret's bytes are anywhere in the vault."""
    records = (record for table in vault._tables.values() for record in table.values())
    return any(secret.reveal() in one for one in (*records, *vault._files.values()))


@pytest.mark.threat("later-theft")
def test_a_vault_that_is_stolen_opens_nothing_that_was_opened_before(
    conversation: Conversation,
) -> None:
    conversation.exchange_messages(10)
    early = conversation.letters()
    assert len(early) > 20
    conversation.exchange_messages(1)
    thefts = {one.name: copied_vault(one) for one in conversation.network.people.values()}
    assert any(letter.key.peer is None for _, letter in early)
    for to, letter in early:
        for theft in thefts.values():
            # Prekeys that anybody may use are kept for some days; they open first letters.
            own = theft is thefts[to]
            assert opens_outer(theft, letter) == (own and letter.key.peer is None)
            assert opens_inner(theft, letter) == (
                own and letter.inner.begins_session and conversation.uses_fallback_key
            )
    for to, letter in early:
        assert contains(thefts[to], letter.key.private) == (letter.key.peer is None)


@pytest.mark.threat("later-theft")
def test_first_letter_is_safe_once_its_prekey_has_expired(
    conversation: Conversation,
) -> None:
    conversation.exchange_messages(1)
    early = conversation.letters()
    for days in (8, 15):
        conversation.network.clock.advance(days=days)
        conversation.fetch_all()
    conversation.exchange_messages(1)
    assert any(letter.key.peer is None for _, letter in early)
    for theft in [copied_vault(one) for one in conversation.network.people.values()]:
        for _, letter in early:
            assert not opens_outer(theft, letter)
            assert not opens_inner(theft, letter)
            assert not contains(theft, letter.key.private)


def test_vault_from_before_a_letter_was_opened_opens_it(conversation: Conversation) -> None:
    """This shows that the other tests do not pass only because nothing opens at all."""
    conversation.exchange_messages(2)
    for recording in conversation.recordings.values():
        assert all(
            opens_outer(recording.before[one], letter) for one, letter in recording.letters.items()
        )
        assert all(
            opens_inner(recording.before[one], letter) for one, letter in recording.letters.items()
        )


@pytest.mark.threat("later-theft")
@pytest.mark.threat("view-once-bypass")
def test_share_of_a_view_once_message_is_gone(conversation: Conversation) -> None:
    """Even with Ben's whole vault and both layers broken, the relay's share of the key is gone."""
    fetch_messages(conversation.network["ben"].device)
    conversation.send_and_open("ana", opens=1)
    (share,) = conversation.recordings["ben"].shares[-1:]
    theft = copied_vault(conversation.network["ben"])
    shown = received_messages(conversation.network["ben"].device)[-1]
    assert (shown.manifest, shown.key, shown.kept) == (None, None, ())
    assert not contains(theft, share)
