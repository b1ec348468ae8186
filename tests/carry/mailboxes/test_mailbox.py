"""Which mailbox names may be created."""

import pytest
from msgspec.structs import replace

from entrenous.base.errors import IdInUse, NoSuchMailbox
from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.mailbox import close_mailbox, create_mailbox
from entrenous.carry.relay_rows import StoredMailbox, StoredShare
from entrenous.carry.release import open_share
from entrenous.crypto.hashing import token_hash
from tests.carry.relays import Post, new_relay, run
from tests.carry.test_expire import arrive, count

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

NOBODY = MailboxId(bytes(16))


def test_reserved_mailbox_id_cannot_be_created() -> None:
    """The upgrade to the second schema put shares under it; its owner could have deleted them."""
    relay, post, stranger = new_relay(), Post(), Secret(b"s" * 32)
    run(arrive(relay, post))
    held = run(relay.mail.read(lambda view: view.get(StoredShare, post.id)))
    assert held is not None
    placed_nowhere = replace(held, mailbox=NOBODY)
    run(relay.mail.transact(lambda tx: tx.put(placed_nowhere)))
    with pytest.raises(IdInUse):
        run(create_mailbox(NOBODY, token_hash(stranger), relay))
    with pytest.raises(NoSuchMailbox):
        run(close_mailbox(NOBODY, stranger, relay))
    assert count(relay, StoredMailbox) == 1
    assert run(open_share(post.id, post.open, post.attempt(), relay)) == post.share
