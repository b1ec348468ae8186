"""The contents of an archive, and the import of an archive into other devices.

All tests except the last two share one exchange of messages and its archive.
"""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from entrenous.archive import contents
from entrenous.archive.archive_format import (
    BadArchive,
    DamagedArchive,
    TooMuchForArchive,
    read_index,
    tar_entries,
)
from entrenous.archive.write_archive import PLACEHOLDER_SEND_TOKEN, write_archive_tar
from entrenous.base.errors import WrongToken
from entrenous.base.identifiers import MessageName, RecipientId
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    OLM_ACCOUNT_RECORD,
    OWN_IDENTITY,
    SIGNING_SEED_RECORD,
    contacts,
)
from entrenous.device.sent_copies import RECEIPT_TABLE, ProvenReceipt, receipt_proofs
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.vault_tables import (
    COPY_DELIVERY,
    OWN_RECORDS,
    RECEIPT,
    RECEIPT_KEY_BUNDLE,
    inbox_key,
    unpack,
)
from entrenous.respond.custody import CASES_TABLE, CUSTODY_LINKS_TABLE
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import find_received_message, is_message_name, received_messages
from entrenous.send.message.draft import NothingToRecall, WaitsInOutbox
from entrenous.send.message.states import INBOX_TABLE, InboxState
from entrenous.send.open import open_message
from entrenous.send.people.block import block_contact, rename_contact
from entrenous.send.people.circle_members import circle_named, create_or_extend_circle, members_of
from entrenous.send.people.circles import circles, store_circle
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE
from entrenous.stop.protect import PROTECTION_TABLE
from entrenous.wire.relay_nouns import EnvelopeState
from entrenous.wire.text import is_name
from tests.archive.archives_in_memory import (
    export_tar,
    ignore_progress,
    import_tar,
    set_up_offline_device,
    stored_contents,
)
from tests.deterministic import SettableClock
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import OTHER_RELAY_URL, SMALL_PICTURE, Network
from tests.send.send_text import send_text
from tests.send.signed_lists import issue_key_bundle


@dataclass(frozen=True)
class ArchivedExchange:
    """An exchange of messages between Ana and Ben, and the archive of Ana's device.

    Ana sent Ben a message, marked copies for others and has a circle. She opened three messages
    from Ben: ``kept_name``, which she may open without a limit; one that may be opened twice; and
    ``taken_back_name``, which Ben took back later. A fourth message is unopened.
    """

    network: Network
    tar: bytes
    sent_name: MessageName
    kept_name: MessageName
    taken_back_name: MessageName

    @property
    def ana(self) -> Device:
        return self.network["ana"].device

    def set_up_new_device(self) -> Device:
        return set_up_offline_device(self.network)


@pytest.fixture(scope="module")
def exchange() -> ArchivedExchange:
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    sent = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    network.clock.advance(minutes=30)  # receipts are sent some minutes later
    fetch_messages(ben.device)
    kept, back = ben.send(SMALL_PICTURE, ana).name, ben.send(SMALL_PICTURE, ana).name
    twice, _ = ben.send(SMALL_PICTURE, ana, opens=2).name, ben.send(SMALL_PICTURE, ana)
    fetch_messages(ana.device)
    for name in (kept, twice, back):
        open_message(name, ana.device)
    recall_message(back, ben.device)
    fetch_messages(ana.device)
    list(
        mark_picture_copies(
            SMALL_PICTURE, [RecipientId("mum"), RecipientId("dad")], None, ana.device
        )
    )
    create_or_extend_circle("family", ["ben"], ana.device)
    return ArchivedExchange(network, export_tar(ana.device), sent, kept, back)


def secrets_of(device: Device) -> Iterator[bytes]:
    """Yield secrets with which others could impersonate the owner or open received messages."""
    identity = OWN_IDENTITY.load(device.vault)
    assert identity is not None
    assert identity.home is not None
    secrets = [identity.master, identity.home.owner, identity.home.close]
    secrets += [contact.send_token for contact in contacts(device)]
    secrets += [token_range.seed for token_range in HELD_TOKEN_RANGE_TABLE.all(device.vault)]
    yield from (secret.reveal() for secret in secrets if secret is not None)
    yield device.vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD) or b"no account"
    yield device.vault.get(OWN_RECORDS, SIGNING_SEED_RECORD) or b"no seed"
    for received in INBOX_TABLE.all(device.vault):
        if received.manifest is not None:
            yield received.manifest.secret.reveal()
            yield received.manifest.open_token.reveal()


def test_import_restores_contacts_circles_and_messages_on_a_new_device(
    exchange: ArchivedExchange,
) -> None:
    ana, fresh = exchange.ana, exchange.set_up_new_device()
    report = import_tar(exchange.tar, fresh)
    assert (report.people, report.circles, report.sent, report.received) == (1, 1, 2, 2)
    now = contact_named("ben", fresh)
    assert now == replace(contact_named("ben", ana), send_token=PLACEHOLDER_SEND_TOKEN)
    assert members_of(circle_named("family", fresh), fresh) == (now,)
    assert list(fresh.ledger.messages()) == list(ana.ledger.messages())
    for message in ana.ledger.messages():
        for place, picture in enumerate(message.pictures):
            assert fresh.vault.read_stored_file(picture.original) == SMALL_PICTURE
            assert fresh.ledger.picture_record(message.id, place) == ana.ledger.picture_record(
                message.id, place
            )
    assert open_message(exchange.kept_name, fresh) == open_message(exchange.kept_name, ana)
    lost = find_received_message(exchange.taken_back_name, fresh)
    assert (lost.state, lost.kept) == (InboxState.TAKEN_BACK, ())


def test_import_into_a_vault_on_disk_restores_the_files(
    exchange: ArchivedExchange, tmp_path: Path
) -> None:
    """The vault stores an encrypted file and a plain file in different ways."""
    with closing(SqlcipherVault(tmp_path, Secret(bytes(32)))) as vault:
        fresh = replace(exchange.set_up_new_device(), vault=vault, ledger=VaultLedger(vault))
        import_tar(exchange.tar, fresh)
        assert open_message(exchange.kept_name, fresh) == open_message(
            exchange.kept_name, exchange.ana
        )
        before = {file.name for file in (tmp_path / "files").iterdir()}
        # These files are the text and the picture of the kept message.
        assert sum(name.endswith(".age") for name in before) == 2
        again = export_tar(fresh)
        assert import_tar(again, fresh).has_nothing_new
        assert {file.name for file in (tmp_path / "files").iterdir()} == before
    assert import_tar(again, exchange.set_up_new_device()).received == 2


@pytest.mark.slow
def test_second_import_adds_nothing(exchange: ArchivedExchange) -> None:
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    before = stored_contents(fresh)
    assert import_tar(exchange.tar, fresh).has_nothing_new
    assert stored_contents(fresh) == before


def test_archive_contains_no_secrets_for_impersonation_or_opening(
    exchange: ArchivedExchange,
) -> None:
    every = list(secrets_of(exchange.ana))
    assert len(every) > 6
    assert [secret for secret in every if secret in exchange.tar] == []
    withdraw_tokens = [
        copy.withdraw_token for one in query_sent_messages(exchange.ana) for copy in one.copies
    ]
    assert withdraw_tokens[0].reveal() in exchange.tar


def test_unopened_and_view_limited_messages_are_not_archived(exchange: ArchivedExchange) -> None:
    assert write_archive_tar(io.BytesIO(), exchange.ana, ignore_progress).unopened == 2
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    assert {one.name for one in received_messages(fresh)} == {
        exchange.kept_name,
        exchange.taken_back_name,
    }


def test_signed_receipts_are_imported(exchange: ArchivedExchange) -> None:
    fresh, ana = exchange.set_up_new_device(), exchange.ana
    import_tar(exchange.tar, fresh)
    message = next(one for one in ana.ledger.messages() if one.name == exchange.sent_name)
    proofs = receipt_proofs(message.id, ana)
    assert proofs.cards
    assert proofs.copies[0].receipts
    assert receipt_proofs(message.id, fresh) == proofs


def test_receipt_is_imported_with_a_card_that_has_its_list_as_an_earlier_one() -> None:
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    ana.send(SMALL_PICTURE, ben)
    ben.open_newest()
    network.clock.advance(minutes=30)  # receipts are sent some minutes later
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    (head,) = ana.device.vault.keys(RECEIPT_KEY_BUNDLE)
    ana.device.vault.put(RECEIPT_KEY_BUNDLE, head, issue_key_bundle(ben))
    (message,) = ana.device.ledger.messages()
    proofs, fresh = receipt_proofs(message.id, ana.device), set_up_offline_device(network)
    import_tar(export_tar(ana.device), fresh)
    assert proofs.copies[0].receipts
    assert receipt_proofs(message.id, fresh) == proofs


def test_received_files_open_with_age_alone(exchange: ArchivedExchange) -> None:
    parts = {entry.name: entry.content.read() for entry in tar_entries(io.BytesIO(exchange.tar))}
    (picture,) = open_message(exchange.kept_name, exchange.ana).files
    frame, file = find_received_message(exchange.kept_name, exchange.ana).kept
    assert {f"keys/{frame.hex()}", f"keys/{file.hex()}"} < set(parts)
    identity = pyrage.x25519.Identity.from_str(parts[f"keys/{file.hex()}"].decode().strip())
    padded = pyrage.decrypt(parts[f"files/{file.hex()}"], [identity])
    assert padded.rstrip(b"\0") == picture.data.rstrip(b"\0")


def test_imported_messages_still_expire(exchange: ArchivedExchange) -> None:
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    kept = find_received_message(exchange.kept_name, fresh).kept
    later = replace(fresh, clock=SettableClock(exchange.network.clock.now() + timedelta(days=8)))
    assert find_received_message(exchange.kept_name, later).state is InboxState.EXPIRED
    assert kept
    assert not set(kept) & set(stored_contents(fresh)[1])


def test_expired_messages_are_archived_without_content(exchange: ArchivedExchange) -> None:
    fresh, old = exchange.set_up_new_device(), exchange.set_up_new_device()
    import_tar(exchange.tar, old)
    later = replace(old, clock=SettableClock(exchange.network.clock.now() + timedelta(days=8)))
    import_tar(export_tar(later), fresh)
    received = find_received_message(exchange.kept_name, fresh)
    assert (received.state, received.kept) == (InboxState.EXPIRED, ())


def test_copies_can_be_taken_back_from_the_new_device(exchange: ArchivedExchange) -> None:
    new = exchange.network.set_up_person("ana who takes back")
    import_tar(exchange.tar, new.device)
    recall_message(exchange.sent_name, new.device)
    (copy,) = next(
        one.copies
        for one in query_sent_messages(exchange.ana)
        if one.message.name == exchange.sent_name
    )
    assert copy.state is EnvelopeState.TAKEN_BACK


def test_imported_contacts_keep_their_keys_and_need_a_new_invite_link(
    exchange: ArchivedExchange,
) -> None:
    ben, new = exchange.network["ben"], exchange.network.set_up_person("ana anew")
    import_tar(exchange.tar, new.device)
    with pytest.raises(WrongToken):
        new.send(SMALL_PICTURE, ben)
    before = contact_named("ben", new.device)
    new.add_contact(ben)
    after = contact_named("ben", new.device)
    assert (after.since, after.person) == (
        before.since,
        before.person,
    )  # Ben is not added a second time
    name = new.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)  # may also fetch messages that other tests sent
    assert open_message(name, ben.device).files


def test_imported_names_that_are_taken_get_a_number(exchange: ArchivedExchange) -> None:
    dan, other = exchange.network.set_up_person("dan"), exchange.network.set_up_person("other")
    add_person(make_invite_link(dan.device), "Ben", other.device)
    create_or_extend_circle("Family", ["Ben"], other.device)
    list(mark_picture_copies(SMALL_PICTURE, [RecipientId("x")], None, other.device))
    (local_message,) = other.device.ledger.messages()
    other.device.ledger.store_message(replace(local_message, name=exchange.sent_name))
    assert import_tar(exchange.tar, other.device).sent == 2
    assert [one.name for one in contacts(other.device)] == ["Ben", "ben 2"]
    assert (
        circle_named("family 2", other.device).people != circle_named("Family", other.device).people
    )
    names = [one.name for one in other.device.ledger.messages()]
    assert len(set(names)) == 3
    assert exchange.sent_name in names
    before = stored_contents(other.device)
    assert import_tar(exchange.tar, other.device).has_nothing_new
    assert stored_contents(other.device) == before


def test_import_keeps_a_local_rename_of_a_contact(exchange: ArchivedExchange) -> None:
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    rename_contact("ben", "Benedikt", fresh)
    assert import_tar(exchange.tar, fresh).has_nothing_new
    assert [one.name for one in contacts(fresh)] == ["Benedikt"]


def test_blocked_people_stay_blocked_after_import(exchange: ArchivedExchange) -> None:
    fresh, third = exchange.set_up_new_device(), exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    block_contact("ben", fresh)
    import_tar(export_tar(fresh), third)
    assert contact_named("ben", third).blocked


def test_import_reports_the_person_who_made_the_archive(exchange: ArchivedExchange) -> None:
    ana = exchange.network["ana"]
    assert (
        import_tar(exchange.tar, exchange.set_up_new_device()).person,
        import_tar(exchange.tar, exchange.set_up_new_device()).made_by,
    ) == (*(ana.id, None),)
    assert import_tar(exchange.tar, exchange.network["ben"].device).made_by == "ana"


def test_own_identity_is_not_imported_as_a_contact(exchange: ArchivedExchange) -> None:
    ben = exchange.network["ben"].device
    before = {one.name for one in contacts(ben)}
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    assert import_tar(export_tar(fresh), ben).people == 0
    assert {one.name for one in contacts(ben)} == before


def test_export_leaves_out_missing_files(exchange: ArchivedExchange) -> None:
    old, fresh = exchange.set_up_new_device(), exchange.set_up_new_device()
    import_tar(exchange.tar, old)
    gone = next(iter(old.ledger.messages())).pictures[0].original
    old.vault.delete_file(gone)
    assert write_archive_tar(io.BytesIO(), old, ignore_progress).lost == 1
    assert import_tar(export_tar(old), fresh).sent == 2


def test_archive_with_a_flipped_bit_imports_nothing_or_everything(
    exchange: ArchivedExchange,
) -> None:
    before, fresh = stored_contents(exchange.set_up_new_device()), exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    whole, refused = stored_contents(fresh), 0
    places = [*range(0, len(exchange.tar), len(exchange.tar) // 150), *range(0, 512, 16)]
    for at in places:
        changed = bytearray(exchange.tar)
        changed[at] ^= 1
        fresh = exchange.set_up_new_device()
        try:
            import_tar(bytes(changed), fresh)
        except (BadArchive, DamagedArchive):
            refused += 1
            assert stored_contents(fresh) == before, at
        else:
            # The change was in bytes that mean nothing, such as padding.
            assert stored_contents(fresh) == whole, at
    assert refused > len(places) * 0.8


def test_incomplete_archive_is_refused(exchange: ArchivedExchange) -> None:
    size = int(exchange.tar[124:135], 8)
    assert len(read_index(exchange.tar[512 : 512 + size]).parts) > 10
    index_only = exchange.tar[: 512 + size + -size % 512] + bytes(1024)
    for shorter in (exchange.tar[:-1024], exchange.tar[:-2048], index_only, bytes(1024), b""):
        fresh = exchange.set_up_new_device()
        before = stored_contents(fresh)
        with pytest.raises((BadArchive, DamagedArchive)):
            import_tar(shorter, fresh)
        assert stored_contents(fresh) == before


def test_import_overwrites_no_local_file(exchange: ArchivedExchange) -> None:
    """A file in the archive does not replace a local file with the same ID."""
    fresh = exchange.set_up_new_device()
    blob = next(iter(exchange.ana.ledger.messages())).pictures[0].original
    assert isinstance(fresh.vault, MemoryVault)
    fresh.vault._files[blob] = b"ours"
    import_tar(exchange.tar, fresh)
    assert fresh.vault.read_stored_file(blob) == b"ours"


@pytest.mark.parametrize("limit", ["INDEX_BYTES_MAX", "RECORD_BYTES_MAX", "FILE_BYTES_MAX"])
def test_export_refuses_data_over_an_import_limit(
    exchange: ArchivedExchange, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(f"entrenous.archive.archive_format.{limit}", 100)
    with pytest.raises(TooMuchForArchive):
        write_archive_tar(out, exchange.ana, ignore_progress)
    assert out.getvalue() == b""


def attackers_device(exchange: ArchivedExchange) -> Device:
    """Return a device with Ana's data, from which a test creates a malicious archive."""
    fresh = exchange.set_up_new_device()
    import_tar(exchange.tar, fresh)
    return fresh


def test_invalid_names_are_replaced_on_import(exchange: ArchivedExchange) -> None:
    """Message names become file names, and the program displays all names."""
    attackers, fresh = attackers_device(exchange), exchange.set_up_new_device()
    received = find_received_message(exchange.kept_name, attackers)
    key = inbox_key(received.sender, received.id)
    odd = replace(received, name=MessageName("../../evil"), sender_name="\x1b[2J")
    INBOX_TABLE.store(odd, key, attackers.vault)
    for message in list(attackers.ledger.messages()):
        attackers.ledger.store_message(replace(message, name=MessageName(f"../{message.name}")))
    (ben,) = contacts(attackers)
    person = replace(ben.person, name="\x1b[2J")
    CONTACT_TABLE.store(
        replace(ben, name="x" * 65, person=person), ben.person.id.hex(), attackers.vault
    )
    (circle,) = circles(attackers.vault)
    store_circle(replace(circle, name="a\nb"), attackers.vault)
    import_tar(export_tar(attackers), fresh)
    names = {one.name for one in received_messages(fresh)}
    names |= {one.name for one in fresh.ledger.messages()}
    assert len(names) == 4
    assert all(is_message_name(name) for name in names)
    shown = [one.sender_name for one in received_messages(fresh)]
    shown += [one.name for one in circles(fresh.vault)]
    shown += [one for contact in contacts(fresh) for one in (contact.name, contact.person.name)]
    assert all(is_name(name) for name in shown)


def test_invalid_receipts_are_not_imported(exchange: ArchivedExchange) -> None:
    attackers, fresh = attackers_device(exchange), exchange.set_up_new_device()
    whole = exchange.set_up_new_device()
    import_tar(exchange.tar, whole)
    kept = dict(whole.vault.items(RECEIPT))
    assert len(kept) == 2
    (key, first), (other, second) = sorted(kept.items())
    one = unpack(ProvenReceipt, first)
    forged = one.proof[:-1] + bytes([one.proof[-1] ^ 1])
    RECEIPT_TABLE.store(replace(one, proof=forged), key, attackers.vault)
    changed_receipt = unpack(ProvenReceipt, second)
    RECEIPT_TABLE.store(
        replace(changed_receipt, at=changed_receipt.at + timedelta(days=1)), other, attackers.vault
    )
    import_tar(export_tar(attackers), fresh)
    assert dict(fresh.vault.items(RECEIPT)) == {}
    assert dict(fresh.vault.items(RECEIPT_KEY_BUNDLE)) == {}


def test_archive_table_names_match_other_packages_and_the_placeholder_is_zero() -> None:
    assert (
        CASES_TABLE,
        CUSTODY_LINKS_TABLE,
        PROTECTION_TABLE.name,
    ) == (contents.CASES_FOLDER, contents.CUSTODY_FOLDER, contents.PROTECTION_TABLE)
    assert Secret(bytes(32)) == PLACEHOLDER_SEND_TOKEN


def test_later_archive_adds_missing_recall_tokens() -> None:
    """An archive that was made before a copy was sent lacks the tokens that recall the copy."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        send_text(ana, "ben")
    first = export_tar(ana.device)
    network.reconnect(OTHER_RELAY_URL)
    fetch_messages(ana.device)
    second, fresh = export_tar(ana.device), set_up_offline_device(network)
    import_tar(first, fresh)
    (sent,) = query_sent_messages(fresh)
    with pytest.raises(NothingToRecall):
        recall_message(sent.message.name, fresh)
    assert import_tar(second, fresh).sent == 0
    recall_message(sent.message.name, fresh)
    assert len(stored_contents(fresh)[0][COPY_DELIVERY]) == 1
    before = stored_contents(fresh)
    import_tar(second, fresh)
    assert stored_contents(fresh) == before
