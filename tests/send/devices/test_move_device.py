"""Tests of moving a person's only device to another relay."""

from collections.abc import Callable
from typing import Any

import pytest

from entrenous.base.errors import NoSuchMailbox, RelayUnreachable, WrongToken
from entrenous.base.limits import (
    FORMER_MAILBOX_DAYS,
    REPLACED_TOKEN_RANGE_DAYS,
    TOKEN_RANGE_DAYS,
    VAULT_GENERATION_MAX,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.oprf import SCALAR_RANDOM_BYTES, blind, scalar_from_random
from entrenous.device.generation import mark_unlock_unconfirmed
from entrenous.device.identities import (
    BadRelayAddress,
    MailboxAddress,
    clear_next_relay_lock,
    may_advance_ratchets,
    next_relay_lock,
    own_device,
)
from entrenous.device.lock_errors import UnlockNotConfirmed
from entrenous.device.recovery_sheet import MasterKeyNotHere
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.vault_tables import DEVICE_TO_GREET, peer_key
from entrenous.send.devices.move_device import AlreadyAtRelay, MoveResult, move_all_devices
from entrenous.send.devices.own_devices import delete_master_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.message.states import InboxState
from entrenous.send.open import open_message
from entrenous.send.people.block import block_contact, unblock_contact
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.recall import recall_message
from entrenous.send.tokens.issue import issued_ranges
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import RelayLock, RolledBack, SendTokenChanges, VaultUnlock
from tests.send.devices.test_link import recovery_sheet_of
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    network_of_three,
)
from tests.village.households import catch_up
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow


@pytest.fixture
def network() -> Network:
    """Return Ana and Ben at one relay, and Cleo at another; Ben and Cleo are Ana's contacts."""
    return network_of_three()


def move_and_unlock(person: Person, url: str = OTHER_RELAY_URL) -> MoveResult:
    """Move the device, and record that the vault uses the new lock, as the next unlock would."""
    moved = move_all_devices(url, None, person.device)
    clear_next_relay_lock(person.device)
    return moved


def mailbox_address_of(person: Person) -> MailboxAddress:
    return own_device(person.device).home


def is_everything_decrypted(*people: Person) -> bool:
    return [take_undecryptable_count(one.device) for one in people] == [0] * len(people)


def test_contacts_write_to_the_new_relay_after_a_move(network: Network) -> None:
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    before, (came_from, *_) = mailbox_address_of(ana), ana.home
    moved = move_and_unlock(ana)
    assert (moved.before, moved.relay_url, moved.letters) == (came_from, OTHER_RELAY_URL, 0)
    catch_up(ben, cleo, ana)
    network.disconnect(RELAY_URL)
    cleo.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files
    ana.send(SMALL_PICTURE, cleo)
    assert cleo.open_newest().files
    network.reconnect(RELAY_URL)
    ben.send(SMALL_PICTURE, ana)
    assert not ana.device.courier.waiting_envelopes(RELAY_URL, before.mailbox, before.owner, 0)
    assert ana.open_newest().files
    for one in (ben, cleo):
        known = contact_named("ana", one.device)
        assert known.person.relay_url == OTHER_RELAY_URL
        assert known.person.head == own_device(ana.device).person.head
    assert contact_named("ana", cleo.device).compared
    assert take_contact_changes(ben.device) == ()
    assert is_everything_decrypted(ana, ben, cleo)


def test_messages_at_the_old_relay_open_and_can_be_recalled(network: Network) -> None:
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    kept = ben.send(SMALL_PICTURE, ana).name
    recalled = ben.send(SMALL_PICTURE, ana).name
    sent = ana.send(SMALL_PICTURE, cleo).name
    catch_up(cleo)
    move_and_unlock(ana)
    assert ana.received_count() == 2
    recall_message(recalled, ben.device)
    catch_up(ana)
    states = {one.name: one.state for one in received_messages(ana.device)}
    assert states == {kept: InboxState.WAITING, recalled: InboxState.TAKEN_BACK}
    assert open_message(kept, ana.device).files
    recall_message(sent, ana.device)
    catch_up(cleo)
    assert [one.state for one in received_messages(cleo.device)] == [InboxState.TAKEN_BACK]


def test_uninformed_contacts_reach_the_old_mailbox_for_thirty_days(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    before = mailbox_address_of(ana)
    move_and_unlock(ana)
    # Ben's relay withholds the letters to him.
    with ben.courier.replace_calls(waiting_envelopes=lambda *_: []):
        for day in range(3):
            ben.send(SMALL_PICTURE, ana)
            assert ana.received_count() == day + 1
            assert ana.open_newest().files
            network.clock.advance(days=9)
    ben.send(SMALL_PICTURE, ana)
    catch_up(ben)
    ben.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 5
    network.clock.advance(days=4)
    catch_up(ana)
    assert former_addresses(ana.device) == ()
    with pytest.raises((NoSuchMailbox, WrongToken)):
        ana.device.courier.waiting_envelopes(RELAY_URL, before.mailbox, before.owner, 0)
    ben.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files
    assert is_everything_decrypted(ana, ben)


def test_queued_letters_go_to_the_old_relay_with_their_tokens(network: Network) -> None:
    ana, cleo = network["ana"], network["cleo"]
    network.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        cleo.send(SMALL_PICTURE, ana, days=20)
    move_and_unlock(ana)
    catch_up(cleo, ana, cleo)
    cleo.send(SMALL_PICTURE, ana)  # later letters do not wait for the queued letter
    assert ana.open_newest().files
    network.clock.advance(days=REPLACED_TOKEN_RANGE_DAYS + 1)
    network.reconnect(RELAY_URL)
    catch_up(cleo)
    assert ana.received_count() == 2
    for one in received_messages(ana.device):
        if one.state is InboxState.WAITING:
            assert open_message(one.name, ana.device).files
    assert is_everything_decrypted(ana, cleo)


def test_lying_old_relay_delays_nobody(network: Network) -> None:
    """The old relay serves the old key bundle, and claims that no letter has arrived."""
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    shown = ana.device.courier.key_bundle(*ana.home)
    ana_before = mailbox_address_of(ana)

    def serve_old_bundle(honest: Callable[..., Any], url: str, *rest: Any) -> Any:
        return shown if url == RELAY_URL else honest(url, *rest)

    def hide_letters(honest: Callable[..., Any], url: str, *rest: Any) -> Any:
        return [] if rest[0] == ana_before.mailbox else honest(url, *rest)

    with (
        ben.courier.replace_calls(key_bundle=serve_old_bundle),
        cleo.courier.replace_calls(key_bundle=serve_old_bundle),
        ana.courier.replace_calls(key_bundle=serve_old_bundle, waiting_envelopes=hide_letters),
    ):
        move_and_unlock(ana)
        catch_up(ben, cleo, ana, ben, cleo)
        for one in (ben, cleo):
            one.send(SMALL_PICTURE, ana)
            assert ana.open_newest().files
        assert [take_contact_changes(one.device) for one in (ana, ben, cleo)] == [(), (), ()]
    assert is_everything_decrypted(ana, ben, cleo)


def test_invite_link_from_before_a_move_works(network: Network) -> None:
    ana, dora = network["ana"], network.set_up_person("dora", OTHER_RELAY_URL)
    link = make_invite_link(ana.device)
    move_and_unlock(ana)
    add_person(link, "ana", dora.device)
    catch_up(ana)
    assert fetch_messages(dora.device).letters_received == 1
    catch_up(ana)
    assert contact_named("ana", dora.device).person.relay_url == OTHER_RELAY_URL
    network.disconnect(RELAY_URL)
    dora.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files


def test_contact_who_unblocks_later_learns_of_the_move(network: Network) -> None:
    """Ana's announcement was refused while Ben blocked her; Ben writes to her old mailbox."""
    ana, ben = network["ana"], network["ben"]
    block_contact("ana", ben.device)
    catch_up(ben, ana)
    move_and_unlock(ana)
    catch_up(ana, ben)
    network.clock.advance(hours=1)
    unblock_contact("ana", ben.device)
    flush_outbox(ben.device)
    catch_up(ana)
    assert not ana.device.vault.keys(DEVICE_TO_GREET)
    catch_up(ben, ana)
    assert contact_named("ana", ben.device).person.relay_url == OTHER_RELAY_URL
    network.clock.advance(days=FORMER_MAILBOX_DAYS + 1)
    catch_up(ana, ben)
    ben.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files
    assert [one.lists for one in take_contact_changes(ben.device)] == []


def test_uninformed_contact_is_informed_again_at_most_once_a_day(network: Network) -> None:
    """Ana waits for a day, because Cleo may have written before the announcement arrived."""
    ana, cleo = network["ana"], network["cleo"]
    with ana.courier.replace_calls(post=error_trick(WrongToken())):
        move_and_unlock(ana)
    seen = []
    for _ in range(4):
        cleo.send(SMALL_PICTURE, ana)
        with ana.courier.replace_calls(post=error_trick(WrongToken())):
            before = ana.courier.calls["post"]
            catch_up(ana)
            seen.append(ana.courier.calls["post"] > before)
        network.clock.advance(hours=13)
    assert seen == [False, False, True, False]
    cleo.send(SMALL_PICTURE, ana)
    catch_up(ana, cleo)
    assert contact_named("ana", cleo.device).person.relay_url == OTHER_RELAY_URL


def test_queued_hello_is_repeated_with_its_invite(network: Network) -> None:
    ana, dora = network["ana"], network.set_up_person("dora", OTHER_RELAY_URL)
    link = make_invite_link(dora.device)
    silent = error_trick(RelayUnreachable(relay=OTHER_RELAY_URL))
    with ana.courier.replace_calls(post=silent), pytest.raises(RelayUnreachable):
        add_person(link, "dora", ana.device)
    move_and_unlock(ana)
    catch_up(dora, ana, dora)
    dora.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files
    assert contact_named("ana", dora.device).person.relay_url == OTHER_RELAY_URL
    assert is_everything_decrypted(ana, dora)


def test_old_tokens_are_not_registered_at_the_new_relay(network: Network) -> None:
    ana, cleo = network["ana"], network["cleo"]
    old = dict(issued_ranges(ana.device))
    changes = list[SendTokenChanges]()

    def record_changes(honest: Callable[..., Any], *rest: Any) -> Any:
        changes.append(rest[-1])
        return honest(*rest)

    with ana.courier.replace_calls(change_tokens=error_trick(RelayUnreachable(relay=RELAY_URL))):
        block_contact("ben", ana.device)  # Ben's tokens must be withdrawn, not registered anew
        catch_up(ana)
    with ana.courier.replace_calls(change_tokens=record_changes):
        move_and_unlock(ana)
        for _ in range(3):
            network.clock.advance(days=REPLACED_TOKEN_RANGE_DAYS)
            catch_up(ana, cleo, ana)
    (now,) = (token_range for _, token_range in issued_ranges(ana.device))
    known = {lock for one in old.values() for lock in _token_hashes(one.seed, 0, one.until)}
    assert not known & {lock for batch in changes for lock in (*batch.add, *batch.drop)}
    whose = peer_key(cleo.id, own_device(cleo.device).key.device)
    assert now.first == old[whose].until  # the new token range begins where the old one ended
    assert contact_named("ana", network["ben"].device).person.relay_url == RELAY_URL


def _token_hashes(seed: Secret, first: int, until: int) -> set[bytes]:
    return {token_hash(derive_send_token(seed, index)) for index in range(first, until)}


def test_late_tokens_for_the_old_mailbox_are_ignored(network: Network) -> None:
    """Cleo replaces her token range twice, and Ana receives the second replacement first."""
    ana, cleo = network["ana"], network["cleo"]
    peer = peer_key(ana.id, own_device(ana.device).key.device)
    theirs = peer_key(cleo.id, own_device(cleo.device).key.device)
    network.clock.advance(days=TOKEN_RANGE_DAYS)
    catch_up(cleo)  # this replacement waits at the old mailbox
    with ana.courier.replace_calls(waiting_envelopes=lambda *_: []):
        move_and_unlock(ana)
    catch_up(cleo)  # replaces the range again, because Ana's device list changed
    newest = dict(issued_ranges(cleo.device))[peer]

    def hide_old_relay(honest: Callable[..., Any], url: str, *rest: Any) -> Any:
        return honest(url, *rest) if url == OTHER_RELAY_URL else []

    with ana.courier.replace_calls(waiting_envelopes=hide_old_relay):
        catch_up(ana)
    catch_up(ana)
    tokens = HELD_TOKEN_RANGE_TABLE.load(theirs, ana.device.vault)
    assert tokens is not None
    assert tokens.seed == newest.seed
    assert is_everything_decrypted(ana, cleo)


def test_unreachable_new_relay_changes_nothing(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    before = mailbox_address_of(ana), own_device(ana.device).person
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(RelayUnreachable):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert (mailbox_address_of(ana), own_device(ana.device).person) == before
    ben.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files
    network.reconnect(OTHER_RELAY_URL)
    assert move_and_unlock(ana).relay_url == OTHER_RELAY_URL


def test_device_moves_to_another_relay_and_back(network: Network) -> None:
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    move_and_unlock(ana)
    catch_up(ben, cleo, ana)
    network.clock.advance(seconds=1)
    move_and_unlock(ana, RELAY_URL)
    catch_up(ben, cleo, ana)
    for one in (ben, cleo):
        one.send(SMALL_PICTURE, ana)
        assert ana.open_newest().files
    assert len({one.home.mailbox for one in former_addresses(ana.device)}) == 2
    statement = read_key_bundle(own_device(ana.device).card).newest.said
    assert (statement.epoch, statement.relay_url) == (3, RELAY_URL)
    assert is_everything_decrypted(ana, ben, cleo)


def test_invalid_moves_are_refused_and_a_repeated_move_is_accepted(network: Network) -> None:
    ana = network["ana"]
    with pytest.raises(AlreadyAtRelay):
        move_all_devices(f"{RELAY_URL}/", None, ana.device)
    with pytest.raises(BadRelayAddress):
        move_all_devices("relay", None, ana.device)
    sheet = recovery_sheet_of(ana)
    delete_master_key(ana.device)
    with pytest.raises(MasterKeyNotHere):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    assert move_all_devices(OTHER_RELAY_URL, sheet, ana.device).relay_url == OTHER_RELAY_URL
    # The move may be repeated, even without the sheet.
    assert move_all_devices(OTHER_RELAY_URL, None, ana.device).before == RELAY_URL


def test_recovery_sheet_allows_a_move_from_a_vanished_relay(network: Network) -> None:
    """The old relay did not confirm the unlock, so a move without the sheet is refused."""
    ana, cleo = network["ana"], network["cleo"]
    sheet = recovery_sheet_of(ana)
    network.disconnect(RELAY_URL)
    mark_unlock_unconfirmed(ana.device.vault)
    with pytest.raises(UnlockNotConfirmed):
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    move_all_devices(OTHER_RELAY_URL, sheet, ana.device)
    assert may_advance_ratchets(ana.device)
    catch_up(cleo, ana)
    cleo.send(SMALL_PICTURE, ana)
    assert ana.open_newest().files


def test_unreachable_old_relay_is_asked_once_an_hour_and_then_given_up(network: Network) -> None:
    ana = network["ana"]
    move_and_unlock(ana)
    clear_next_relay_lock(ana.device)
    urls = list[str]()

    def record_url(honest: Callable[..., Any], url: str, *rest: Any) -> Any:
        urls.append(url)
        return honest(url, *rest)

    network.disconnect(RELAY_URL)
    with ana.courier.replace_calls(waiting_envelopes=record_url):
        for _ in range(4):
            catch_up(ana)
            network.clock.advance(minutes=20)
        assert urls.count(RELAY_URL) == 2
        network.clock.advance(days=2 * FORMER_MAILBOX_DAYS)
        catch_up(ana, ana)
        network.clock.advance(hours=1)  # an hour after the jump, the device trusts its clock again
        catch_up(ana, ana)
        assert former_addresses(ana.device) == ()  # Ana's device no longer keeps her old address
        urls.clear()
        network.clock.advance(days=1)
        catch_up(ana)
        assert RELAY_URL not in urls


@pytest.mark.threat("backups-revive")
def test_old_relay_refuses_unlocks_of_backups_after_the_move(network: Network) -> None:
    ana = network["ana"]
    old = mailbox_address_of(ana)
    at_old = RelayLock(RELAY_URL, old.mailbox, old.owner)
    ana.device.courier.create_lock(at_old, old.owner)
    ana.device.courier.report_vault_unlock(
        RELAY_URL, old.mailbox, old.owner, VaultUnlock(1, bytes(16))
    )
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    catch_up(ana)
    # The vault still unlocks through the old relay.
    assert [one.overtaken for one in former_addresses(ana.device)] == [False]
    assert next_relay_lock(ana.device) is not None
    clear_next_relay_lock(ana.device)
    catch_up(ana)
    assert [one.overtaken for one in former_addresses(ana.device)] == [True]
    for generation in (2, VAULT_GENERATION_MAX):
        with pytest.raises(RolledBack):
            ana.device.courier.report_vault_unlock(
                RELAY_URL, old.mailbox, old.owner, VaultUnlock(generation, bytes(16))
            )


def test_old_mailbox_is_kept_while_the_vault_unlocks_through_it(network: Network) -> None:
    ana = network["ana"]
    old = mailbox_address_of(ana)
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    network.clock.advance(days=FORMER_MAILBOX_DAYS + 1)
    catch_up(ana)
    assert ana.device.courier.waiting_envelopes(RELAY_URL, old.mailbox, old.owner, 0) == []
    clear_next_relay_lock(ana.device)
    catch_up(ana)
    with pytest.raises((NoSuchMailbox, WrongToken)):
        ana.device.courier.waiting_envelopes(RELAY_URL, old.mailbox, old.owner, 0)


def test_vault_lock_moves_to_the_new_relay(network: Network) -> None:
    ana = network["ana"]
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    lock = next_relay_lock(ana.device)
    assert lock is not None
    assert (lock.relay_url, lock.mailbox) == (OTHER_RELAY_URL, mailbox_address_of(ana).mailbox)
    blinded = blind(
        Secret(b"a passphrase"),
        scalar_from_random(ana.device.random_source.token(SCALAR_RANDOM_BYTES)),
    )
    assert ana.device.courier.unlock(lock, blinded).tries_left == 9
