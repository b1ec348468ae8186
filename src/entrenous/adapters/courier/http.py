"""Relays over HTTPS, as a device sees them (docs/spec/relay.md).

The relay's errors come back as the same named errors; what it answers is parsed strictly.
"""

import ssl
from typing import Final

import httpx

from entrenous.adapters.courier.blobs import HttpBlobs
from entrenous.adapters.courier.letters import HttpLetters
from entrenous.adapters.courier.lock import HttpLocks
from entrenous.adapters.courier.mailboxes import HttpMailboxes
from entrenous.adapters.courier.patience import Patience
from entrenous.adapters.courier.request import Ask, ask
from entrenous.adapters.courier.shares import HttpShares

_TIMEOUT: Final = httpx.Timeout(30, connect=10)


class HttpCourier:
    """A :class:`entrenous.ports.Courier` over one client, as :func:`new_client` makes it.

    ``patience_s``: how long a relay that does not answer is waited for.
    """

    def __init__(self, client: httpx.Client, patience_s: float = 0.0) -> None:
        self._client = client
        self._patience = Patience(patience_s)
        mailboxes = HttpMailboxes(self._ask)
        self.create_mailbox = mailboxes.create_mailbox
        self.publish_card = mailboxes.publish_card
        self.card = mailboxes.card
        self.publish_prekeys = mailboxes.publish_prekeys
        self.prekey_count = mailboxes.prekey_count
        self.claim_prekeys = mailboxes.claim_prekeys
        self.register_token = mailboxes.register_token
        self.withdraw_token = mailboxes.withdraw_token
        letters = HttpLetters(self._ask)
        self.post = letters.post
        self.waiting = letters.waiting
        self.acknowledge = letters.acknowledge
        self.withdraw = letters.withdraw
        self.state = letters.state
        blobs = HttpBlobs(self._ask)
        self.bring_blob = blobs.bring_blob
        self.blob = blobs.blob
        shares = HttpShares(self._ask)
        self.open_share = shares.open_share
        self.finish = shares.finish

        locks = HttpLocks(self._ask)
        self.make_lock = locks.make_lock
        self.unlock = locks.unlock
        self.note_opened = locks.note_opened
        self.allow_more_tries = locks.allow_more_tries
        self.set_close_token = locks.set_close_token
        self.close_mailbox = locks.close_mailbox

    def _ask(self, url: str, what: Ask) -> bytes:
        return ask(self._client, url, what, self._patience)


def new_client() -> httpx.Client:
    """A client that speaks TLS 1.3 or newer, follows no redirect, and asks no proxy."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return httpx.Client(verify=context, timeout=_TIMEOUT, trust_env=False)
