"""The creation of mailboxes: a reserved id, and repeated requests."""

import pytest
from msgspec.structs import replace

from entrenous.base.errors import IdInUse, NoSuchMailbox
from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.mailbox import create_mailbox, delete_mailbox_with_contents
from entrenous.carry.relay_rows import StoredMailbox, StoredShare
from entrenous.carry.release import release_key_share
from entrenous.crypto.hashing import token_hash
from tests.carry.relays import SampleMessage, new_relay, run
from tests.carry.test_expire import count_rows, create_mailbox_and_post

RESERVED_ID = MailboxId(bytes(16))


def test_mailbox_with_the_reserved_id_cannot_be_created_or_deleted() -> None:
    """Relays with the first schema stored shares under this id, so nobody may own this mailbox."""
    relay, message, other_owner = new_relay(), SampleMessage(), Secret(b"s" * 32)
    run(create_mailbox_and_post(relay, message))
    stored = run(relay.mail.read(lambda view: view.get(StoredShare, message.id)))
    assert stored is not None
    under_reserved_id = replace(stored, mailbox=RESERVED_ID)
    run(relay.mail.transact(lambda tx: tx.put(under_reserved_id)))
    with pytest.raises(IdInUse):
        run(create_mailbox(RESERVED_ID, token_hash(other_owner), relay))
    with pytest.raises(NoSuchMailbox):
        run(delete_mailbox_with_contents(RESERVED_ID, other_owner, relay))
    assert count_rows(relay, StoredMailbox) == 1
    assert (
        run(release_key_share(message.id, message.open, message.new_attempt(), relay))
        == message.share
    )


@pytest.mark.parametrize(("owner_byte", "close_byte"), [(b"s", b"c"), (b"o", b"s"), (b"o", None)])
def test_repeated_creation_needs_the_same_owner_and_close_tokens(
    owner_byte: bytes, close_byte: bytes | None
) -> None:
    relay, mailbox = new_relay(), MailboxId(b"M" * 16)
    locks = token_hash(Secret(b"o" * 32)), token_hash(Secret(b"c" * 32))
    assert run(create_mailbox(mailbox, locks[0], relay, locks[1])) is True
    assert run(create_mailbox(mailbox, locks[0], relay, locks[1])) is False
    close_lock = None if close_byte is None else token_hash(Secret(close_byte * 32))
    with pytest.raises(IdInUse):
        run(create_mailbox(mailbox, token_hash(Secret(owner_byte * 32)), relay, close_lock))
