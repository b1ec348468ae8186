"""Tests of a relay that withholds, discards, repeats, swaps or changes data, or answers falsely.

In most tests the relay misbehaves for a while and then is honest again; then all messages must
arrive.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.errors import (
    EntrenousError,
    NoSuchBlob,
    NotUnderstood,
    RelayUnreachable,
    TakenBack,
    TooMany,
    UsedUp,
    WrongToken,
)
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.identity import BadPrekey, BadSignature
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.nouns import BlobChanged, DecryptionFailed
from entrenous.device.identities import contacts, own_device
from entrenous.device.vault_tables import UNDECRYPTABLE_LETTER
from entrenous.send.devices.own_key_bundle import seal_key_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, OpenedContent
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.message.states import InboxState
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import InviteKeysDiffer
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus, SendToken, WaitingEnvelope
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.village.malicious_relay import (
    HonestCall,
    Trick,
    changed_answer_trick,
    error_trick,
    flip_bit,
)

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana and her contacts Ben and Caro, who also have Ana as a contact."""
    network = Network()
    ana = network.set_up_person("ana")
    for name in ("ben", "caro"):
        ana.add_contact(network.set_up_person(name))
    return network


@pytest.fixture
def ana(network: Network) -> Person:
    return network["ana"]


@pytest.fixture
def ben(network: Network) -> Person:
    return network["ben"]


def open_all(person: Person) -> list[OpenedContent]:
    """Fetch messages, and open all received messages, oldest first."""
    fetch_messages(person.device)
    return [open_message(one.name, person.device) for one in received_messages(person.device)]


def undecryptable_count(person: Person) -> int:
    return len(list(person.device.vault.items(UNDECRYPTABLE_LETTER)))


def page_trick(change: Callable[[list[WaitingEnvelope]], list[WaitingEnvelope]]) -> Trick:
    return changed_answer_trick(change)


# --- letters ------------------------------------------------------------------------------------


def test_withheld_letters_arrive_later(ana: Person, ben: Person) -> None:
    for _ in range(3):
        ana.send(SMALL_PICTURE, ben)
    for shown_part in (slice(0), slice(1)):
        with ben.courier.replace_calls(
            waiting_envelopes=page_trick(lambda page, shown_part=shown_part: page[shown_part])
        ):
            fetch_messages(ben.device)
    assert len(open_all(ben)) == 3


def test_fetch_continues_after_a_page_of_one_letter(ana: Person, ben: Person) -> None:
    for _ in range(3):
        ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[:1])):
        assert ben.received_count() == 3


def test_omitted_letter_arrives_once_it_is_shown(ana: Person, ben: Person) -> None:
    """The relay hides the first of three letters for a while."""
    for _ in range(3):
        ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[1:])):
        assert ben.received_count() == 2
    assert len(open_all(ben)) == 3


def test_reordered_letters_all_arrive(ana: Person, ben: Person) -> None:
    for _ in range(5):
        ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[::-1])):
        assert ben.received_count() == 5
    assert (len(open_all(ben)), undecryptable_count(ben)) == (5, 0)


def test_letters_written_concurrently_arrive_in_reverse_order(ana: Person, ben: Person) -> None:
    for _ in range(2):
        for one, other in ((ana, ben), (ben, ana)):
            for _ in range(2):
                one.send(SMALL_PICTURE, other)
        for one in (ana, ben):
            with one.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[::-1])):
                fetch_messages(one.device)
    assert (len(open_all(ana)), len(open_all(ben))) == (4, 4)
    assert (undecryptable_count(ana), undecryptable_count(ben)) == (0, 0)


@pytest.mark.threat("lying-relay")
def test_repeated_letters_count_once(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben)
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(
        waiting_envelopes=page_trick(lambda page: [*page, *page]), acknowledge=lambda *_: None
    ):
        for _ in range(2):
            assert ben.received_count() == 2
    assert (len(open_all(ben)), undecryptable_count(ben)) == (2, 0)


def test_endless_list_of_letters_does_not_block_a_device(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(
        waiting_envelopes=lambda honest, *a: honest(*a[:-1], 0), acknowledge=lambda *_: None
    ):
        assert ben.received_count() == 1
    ana.send(SMALL_PICTURE, ben)
    assert len(open_all(ben)) == 2


def test_replayed_letter_under_a_new_id_is_refused(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben)
    seen: list[WaitingEnvelope] = []

    def record(page: list[WaitingEnvelope]) -> list[WaitingEnvelope]:
        seen.extend(page)
        return page

    with ben.courier.replace_calls(waiting_envelopes=page_trick(record)):
        fetch_messages(ben.device)
    replayed = [replace(one, id=EnvelopeId(bytes(15) + b"\x01"), sequence=99) for one in seen]
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(
        waiting_envelopes=page_trick(lambda page: [*replayed, *page] if page else [])
    ):
        fetch_messages(ben.device)
    assert (len(open_all(ben)), undecryptable_count(ben)) == (2, 1)


@pytest.mark.threat("lying-relay")
def test_letters_swapped_between_two_envelopes_do_not_open(
    network: Network, ana: Person, ben: Person
) -> None:
    caro = network["caro"]
    caro.add_contact(ben)
    before = undecryptable_count(ben)
    ana.send(SMALL_PICTURE, ben)
    caro.send(SMALL_PICTURE, ben)

    def swap_letters(page: list[WaitingEnvelope]) -> list[WaitingEnvelope]:
        letters = [one.sealed for one in page][::-1]
        return [replace(one, sealed=sealed) for one, sealed in zip(page, letters, strict=True)]

    with ben.courier.replace_calls(
        waiting_envelopes=page_trick(swap_letters), acknowledge=lambda *_: None
    ):
        assert ben.received_count() == 0
    assert undecryptable_count(ben) == before + 2
    ana.send(SMALL_PICTURE, ben)
    caro.send(SMALL_PICTURE, ben)
    assert len(open_all(ben)) == 2


def test_letter_for_another_person_does_not_open(
    network: Network, ana: Person, ben: Person
) -> None:
    ana.send(SMALL_PICTURE, network["caro"])
    home = own_device(network["caro"].device).home
    (for_caro,) = network.honest.waiting_envelopes(home.relay_url, home.mailbox, home.owner, 0)
    with ben.courier.replace_calls(
        waiting_envelopes=lambda _honest, *a: [for_caro] if a[-1] == 0 else [],
        acknowledge=lambda *_: None,
    ):
        assert ben.received_count() == 0
    assert undecryptable_count(ben) == 1
    assert len(open_all(network["caro"])) == 1


@pytest.mark.parametrize("place", [0, 4, 200, 1500, -1])
def test_letter_with_a_flipped_bit_does_not_stop_later_letters(
    ana: Person, ben: Person, place: int
) -> None:
    for _ in range(3):
        ana.send(SMALL_PICTURE, ben)

    def flip_bit_of_first_letter(page: list[WaitingEnvelope]) -> list[WaitingEnvelope]:
        return [replace(page[0], sealed=flip_bit(page[0].sealed, place)), *page[1:]] if page else []

    with ben.courier.replace_calls(waiting_envelopes=page_trick(flip_bit_of_first_letter)):
        assert ben.received_count() == 2
    assert (len(open_all(ben)), undecryptable_count(ben)) == (2, 1)
    ana.send(SMALL_PICTURE, ben)
    assert len(open_all(ben)) == 3


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x00" * 3000, b"\x01" + b"k" * 3184])
def test_junk_in_the_mailbox_does_not_stop_letters(ana: Person, ben: Person, junk: bytes) -> None:
    ana.send(SMALL_PICTURE, ben)

    def add_junk(page: list[WaitingEnvelope]) -> list[WaitingEnvelope]:
        return [replace(page[0], id=EnvelopeId(b"j" * 16), sealed=junk), *page] if page else []

    with ben.courier.replace_calls(waiting_envelopes=page_trick(add_junk)):
        assert ben.received_count() == 1
    assert len(open_all(ben)) == 1


@pytest.mark.parametrize("call", ["post", "upload_blob"])
def test_unanswered_post_or_upload_arrives_once(ana: Person, ben: Person, call: str) -> None:
    def forward_without_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(**{call: forward_without_answer}), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    fetch_messages(ana.device)
    assert (len(open_all(ben)), undecryptable_count(ben)) == (1, 0)


def peer_xwing_key_count(person: Person) -> int:
    return sum(key.peer is not None for key in OWN_XWING_KEY_TABLE.all(person.device.vault))


def test_letter_overtaken_by_a_newer_key_opens_and_its_key_is_deleted(
    ana: Person, ben: Person
) -> None:
    """A device keeps an older key while a letter that was sealed to this key may still arrive
    (docs/spec/letter.md, section 5).
    """
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda _: [])):
        ben.send(SMALL_PICTURE, ana)  # this letter contains Ben's next key
    fetch_messages(ana.device)
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[1:])):
        assert ben.received_count() == 1
    assert peer_xwing_key_count(ben) == 2
    assert (len(open_all(ben)), undecryptable_count(ben)) == (2, 0)
    assert peer_xwing_key_count(ben) == 1


@pytest.mark.threat("later-theft")
def test_letters_in_order_leave_only_the_two_newest_keys(ana: Person, ben: Person) -> None:
    for _ in range(3):
        for one, other in ((ana, ben), (ben, ana)):
            one.send(SMALL_PICTURE, other)
            fetch_messages(other.device)
    # Ben keeps the key to which Ana sealed her last letter, and the newer key that he sent.
    assert peer_xwing_key_count(ben) == 2


@pytest.mark.threat("later-theft")
def test_missing_letter_keeps_older_keys_for_a_limited_number_of_letters(
    ana: Person, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.letter.read.LETTER_COUNTER_WINDOW_SIZE", 4)
    with ana.courier.replace_calls(post=lambda *_: None):
        ana.send(SMALL_PICTURE, ben)  # the relay discards the letter
    key_counts = []
    for _ in range(5):
        for one, other in ((ana, ben), (ben, ana)):
            one.send(SMALL_PICTURE, other)
            fetch_messages(other.device)
        key_counts.append(peer_xwing_key_count(ben))
    assert key_counts == [2, 3, 4, 2, 2]


def test_letter_that_the_relay_discards_is_reported_as_expired(ana: Person, ben: Person) -> None:
    """The letter is lost, but later messages arrive, and the sender's status shows the loss."""
    with ana.courier.replace_calls(post=lambda *_: None):
        ana.send(SMALL_PICTURE, ben)
    ana.send(SMALL_PICTURE, ben)
    assert len(open_all(ben)) == 1
    lost, _ = sorted(query_sent_messages(ana.device), key=lambda sent: sent.copies[0].state.value)
    assert lost.copies[0].state is EnvelopeState.EXPIRED  # the relay does not have this message


def test_failed_acknowledgement_loses_no_letter(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben)
    with (
        ben.courier.replace_calls(acknowledge=error_trick(RelayUnreachable(host="x"))),
        pytest.raises(RelayUnreachable),
    ):
        fetch_messages(ben.device)
    assert (len(open_all(ben)), undecryptable_count(ben)) == (1, 0)


# --- prekeys and new contacts -------------------------------------------------------------------


def claim_prekeys_of(honest: HonestCall, owner: Person, url: str) -> Any:
    """Claim prekeys of the device of ``owner``, with a token that is registered for this claim."""
    me = own_device(owner.device)
    token = Secret(b"t" * 32)
    granted = SendToken(token_hash(token), None, None)
    owner.device.courier.register_token(url, me.home.mailbox, me.home.owner, granted)
    return honest(url, me.home.mailbox, token, me.key.device)


PREKEY_SWAPS: dict[str, Callable[[Any, Any], Any]] = {
    "all of another's": lambda _own, other: other,
    "another's X-Wing key": lambda own, other: replace(own, xwing=other.xwing),
    "another's one-time key": lambda own, other: replace(own, one_time=other.one_time),
    "another's fallback key": lambda own, other: replace(
        own, one_time=None, fallback=other.fallback
    ),
    "a one-time key for the X-Wing key": lambda own, _: replace(own, xwing=own.one_time),
    "the fallback key as one-time key": lambda own, _: replace(own, one_time=own.fallback),
    "a bit of the X-Wing key": lambda own, _: replace(own, xwing=flip_bit(own.xwing, 100)),
    "a bit of its signature": lambda own, _: replace(own, xwing=flip_bit(own.xwing)),
    "a bit of the one-time key": lambda own, _: replace(own, one_time=flip_bit(own.one_time, 40)),
    "nothing": lambda own, _: replace(own, one_time=b"", xwing=b""),
}


@pytest.mark.threat("server-adds-device")
@pytest.mark.parametrize("swap", PREKEY_SWAPS)
def test_no_contact_is_added_with_swapped_or_changed_prekeys(network: Network, swap: str) -> None:
    ben, dan, mallory = network["ben"], network.set_up_person("dan"), network["caro"]

    def swap_prekeys(honest: HonestCall, url: str, *arguments: Any) -> Any:
        return PREKEY_SWAPS[swap](honest(url, *arguments), claim_prekeys_of(honest, mallory, url))

    link = make_invite_link(ben.device)
    with (
        dan.courier.replace_calls(claim_prekeys=swap_prekeys),
        pytest.raises((BadSignature, BadPrekey)),
    ):
        add_person(link, "ben", dan.device)
    assert contacts(dan.device) == ()
    assert dan.courier.calls["post"] == 0
    add_person(link, "ben", dan.device)
    fetch_messages(ben.device)
    fetch_messages(dan.device)
    dan.send(SMALL_PICTURE, ben)
    assert len(open_all(ben)) == 1


@pytest.mark.parametrize(
    "error", [NotUnderstood(), TooMany(retry_after_s=60), WrongToken(), RelayUnreachable(host="x")]
)
def test_contact_is_not_half_added_if_a_request_fails(
    network: Network, error: EntrenousError
) -> None:
    ben, dan = network["ben"], network.set_up_person("dan")
    link = make_invite_link(ben.device)
    for call in ("key_bundle", "claim_prekeys"):
        with dan.courier.replace_calls(**{call: error_trick(error)}), pytest.raises(type(error)):
            add_person(link, "ben", dan.device)
        assert contacts(dan.device) == ()
    add_person(link, "ben", dan.device)


# --- files, shares and openings -----------------------------------------------------------------


@pytest.mark.parametrize("changed_size", ["same", "cut", "longer", "none"])
def test_changed_files_do_not_open_and_use_no_opening(
    ana: Person, ben: Person, changed_size: str
) -> None:
    ana.send(SMALL_PICTURE, ben, opens=1)
    changes = {
        "same": lambda blob: flip_bit(blob, 3000),
        "cut": lambda blob: blob[:-1],
        "longer": lambda blob: blob + b"\0",
        "none": lambda _: b"",
    }
    with (
        ben.courier.replace_calls(blob=changed_answer_trick(changes[changed_size])),
        pytest.raises(BlobChanged),
    ):
        open_all(ben)
    assert ben.courier.calls["open_share"] == 0  # the device requested no share
    assert len(open_all(ben)) == 1


def test_swapped_files_of_two_messages_open_neither(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben)
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    one, two = (message.manifest for message in received_messages(ben.device))
    assert one is not None
    assert two is not None

    def swap_files(honest: HonestCall, url: str, blob: bytes, _token: Secret) -> bytes:
        other = two if blob == one.blobs[0].id else one
        return honest(url, other.blobs[0].id, other.fetch_token)  # type: ignore[no-any-return]

    for message in received_messages(ben.device):
        with ben.courier.replace_calls(blob=swap_files), pytest.raises(BlobChanged):
            open_message(message.name, ben.device)
    assert len(open_all(ben)) == 2


@pytest.mark.threat("lying-relay")
def test_wrong_key_share_neither_opens_a_message_nor_uses_it_up(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben, opens=1)
    for wrong_share in (Secret(bytes(32)), Secret(b"\xff" * 32)):
        with (
            ben.courier.replace_calls(
                open_share=changed_answer_trick(lambda _, wrong_share=wrong_share: wrong_share)
            ),
            pytest.raises(DecryptionFailed),
        ):
            open_all(ben)
    assert received_messages(ben.device)[0].state is InboxState.WAITING
    assert len(open_all(ben)) == 1
    assert query_sent_messages(ana.device)[0].copies[0].state is EnvelopeState.OPENED


def test_message_opens_after_its_withheld_file_is_available(ana: Person, ben: Person) -> None:
    ana.send(SMALL_PICTURE, ben, opens=1)
    with ben.courier.replace_calls(blob=error_trick(NoSuchBlob())), pytest.raises(NoSuchBlob):
        open_all(ben)
    assert len(open_all(ben)) == 1


@pytest.mark.parametrize("call", ["blob", "open_share", "finish_opening"])
def test_interrupted_opening_counts_once(ana: Person, ben: Person, call: str) -> None:
    ana.send(SMALL_PICTURE, ben, opens=1)
    fetch_messages(ben.device)
    name = received_messages(ben.device)[0].name

    def forward_without_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ben.courier.replace_calls(**{call: forward_without_answer}):
        if call == "finish_opening":
            assert open_message(name, ben.device).files
        else:
            with pytest.raises(RelayUnreachable):
                open_message(name, ben.device)
    if call != "finish_opening":
        assert open_message(name, ben.device).files
    with pytest.raises(UsedUp):
        open_message(name, ben.device)
    copy = query_sent_messages(ana.device)[0].copies[0]
    assert (
        ana.device.courier.envelope_status(
            copy.relay_url, copy.envelope, copy.withdraw_token
        ).opened
        == 1
    )


# --- recalls and other false answers ------------------------------------------------------------


@pytest.mark.parametrize("false_state", list(EnvelopeState))
def test_false_status_does_not_prevent_a_recall(
    ana: Person, ben: Person, false_state: EnvelopeState
) -> None:
    posted = ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    with ana.courier.replace_calls(
        envelope_status=lambda *_: EnvelopeStatus(false_state, opened=0)
    ):
        query_sent_messages(ana.device)
    recall_message(posted.name, ana.device)
    with pytest.raises(TakenBack):
        open_all(ben)


def test_recall_works_if_the_relay_only_claims_to_withdraw(ana: Person, ben: Person) -> None:
    """Ben's device follows the recall note, although the relay keeps everything."""
    posted = ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    false_status = EnvelopeStatus(EnvelopeState.TAKEN_BACK, opened=0)
    with ana.courier.replace_calls(withdraw=lambda *_: false_status):
        recall_message(posted.name, ana.device)
    with pytest.raises(TakenBack):
        open_all(ben)
    assert received_messages(ben.device)[0].manifest is None


def test_withheld_recall_note_does_not_undo_the_recall(ana: Person, ben: Person) -> None:
    posted = ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    recall_message(posted.name, ana.device)
    with (
        ben.courier.replace_calls(waiting_envelopes=page_trick(lambda _: [])),
        pytest.raises(TakenBack),
    ):
        open_all(ben)


def test_recall_note_that_arrives_before_its_message_recalls_the_message(
    ana: Person, ben: Person
) -> None:
    """The relay only claims to have withdrawn the message, and shows the note first."""
    posted = ana.send(SMALL_PICTURE, ben)
    false_status = EnvelopeStatus(EnvelopeState.TAKEN_BACK, opened=0)
    with ana.courier.replace_calls(withdraw=lambda *_: false_status):
        recall_message(posted.name, ana.device)
    with ben.courier.replace_calls(waiting_envelopes=page_trick(lambda page: page[::-1])):
        fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    assert (received.state, received.manifest) == (InboxState.TAKEN_BACK, None)
    with pytest.raises(TakenBack):
        open_message(received.name, ben.device)


@pytest.mark.threat("server-adds-device")
def test_relay_cannot_replace_the_identity_of_a_person(network: Network, ana: Person) -> None:
    """The relay shows Caro's key bundle at Ben's mailbox, sealed for Ben's id and mailbox."""
    ben, dan = network["ben"], network.set_up_person("dan")
    true, other = own_device(ben.device), own_device(network["caro"].device)
    shown = seal_key_bundle(other.card, true.person.id, true.home.mailbox)
    link = make_invite_link(ben.device)
    with (
        dan.courier.replace_calls(key_bundle=changed_answer_trick(lambda _: shown)),
        pytest.raises(InviteKeysDiffer),
    ):
        add_person(link, "ben", dan.device)
    assert contacts(dan.device) == ()
    add_person(link, "ben", dan.device)
    assert contact_named("ben", dan.device).person == true.person
    for name in ("ben", "caro"):
        assert contact_named(name, ana.device).person == own_device(network[name].device).person


@pytest.mark.parametrize("count", [0, 10**9])
def test_false_prekey_count_loses_no_letter(
    network: Network, ana: Person, ben: Person, count: int
) -> None:
    with ben.courier.replace_calls(prekey_count=lambda *_: count):
        for _ in range(3):
            fetch_messages(ben.device)
    dan = network.set_up_person("dan")
    dan.add_contact(ben)
    for one in (ana, dan):
        one.send(SMALL_PICTURE, ben)
    assert (len(open_all(ben)), undecryptable_count(ben)) == (2, 0)
