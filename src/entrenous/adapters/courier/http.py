"""Relays over HTTPS, as a device sees them (docs/spec/relay.md).

The relay's errors come back as the same named errors; what it answers is parsed strictly.
"""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from entrenous.adapters.courier.apart import Apart
from entrenous.adapters.courier.blobs import HttpBlobs
from entrenous.adapters.courier.lanes import HEADERS, Lanes, no_cookies
from entrenous.adapters.courier.letters import HttpLetters
from entrenous.adapters.courier.lock import HttpLocks
from entrenous.adapters.courier.mailboxes import HttpMailboxes
from entrenous.adapters.courier.pace import PacedTransport, Way
from entrenous.adapters.courier.patience import Patience
from entrenous.adapters.courier.request import Ask, Takes, ask, converse
from entrenous.adapters.courier.shares import HttpShares
from entrenous.adapters.courier.wake import HttpWakes
from entrenous.adapters.loopback import is_this_machine
from entrenous.adapters.system import SystemDice
from entrenous.model.setting import BadSetting, Proxy
from entrenous.ports.world import Dice
from entrenous.spec import PACE_BYTES_MIN

_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_NAME_BYTES: Final = 16  # of a user name, and of a password, at a proxy
_DICE: Final = SystemDice()


class HttpCourier:
    """A :class:`entrenous.ports.Courier` over one client, as :func:`new_client` makes it.

    ``patience_s``: how long a relay that does not answer is waited for; ``now_s`` tells how time
    passes. ``pause_s``: the longest pause between two errands (courier/apart.py).
    """

    def __init__(
        self,
        client: httpx.Client,
        patience_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
        pause_s: float = 0.0,
    ) -> None:
        self._client = client
        rest = client.rest if isinstance(client, RelayClient) else None
        self._apart = Apart(pause_s, _DICE, rest)
        self._patience = Patience(patience_s, now_s)
        # What is long may time out on a slow line, which says nothing about how the relay answers
        # what is short, and nothing of one of these two about the other.
        self._of_wakes = Patience(patience_s, now_s)
        self._of_files = Patience(patience_s, now_s)
        mailboxes = HttpMailboxes(self._ask)
        self.create_mailbox = mailboxes.create_mailbox
        self.publish_card = mailboxes.publish_card
        self.card = mailboxes.card
        self.publish_prekeys = mailboxes.publish_prekeys
        self.prekey_count = mailboxes.prekey_count
        self.claim_prekeys = mailboxes.claim_prekeys
        self.register_token = mailboxes.register_token
        self.change_tokens = mailboxes.change_tokens
        self.withdraw_token = mailboxes.withdraw_token
        letters = HttpLetters(self._ask)
        self.post = letters.post
        self.waiting = letters.waiting
        self.acknowledge = letters.acknowledge
        self.withdraw = letters.withdraw
        self.state = letters.state
        blobs = HttpBlobs(self._ask, self._stream)
        self.bring_blob = blobs.bring_blob
        self.how_much_came = blobs.how_much_came
        self.blob_to = blobs.blob_to
        shares = HttpShares(self._ask)
        self.open_share = shares.open_share
        self.finish = shares.finish

        self.status = HttpWakes(self._ask).status
        self.wake = HttpWakes(self._ask_long, patience_s).wake
        locks = HttpLocks(self._ask)
        self.make_lock = locks.make_lock
        self.unlock = locks.unlock
        self.note_opened = locks.note_opened
        self.allow_more_tries = locks.allow_more_tries
        self.renew_lock = locks.renew_lock
        self.set_close_token = locks.set_close_token
        self.close_mailbox = locks.close_mailbox

    def _ask(self, url: str, what: Ask) -> bytes:
        with self._apart.during(what):
            return ask(self._client, url, what, self._patience)

    def _ask_long(self, url: str, what: Ask) -> bytes:
        """A question that may wait for its answer."""
        with self._apart.during(what):
            return ask(self._client, url, what, self._of_wakes)

    def _stream(self, url: str, each_try: Callable[[], Ask], take: Takes) -> None:
        first = [each_try()]  # whose errand it is; begun twice, it would look broken off

        def each() -> Ask:
            return first.pop() if first else each_try()

        with self._apart.during(first[0]):
            converse(self._client, url, each, take, self._of_files, PACE_BYTES_MIN)


class RelayClient(httpx.Client):
    """A client that remembers nothing, and whose requests look like everybody's."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(
            transport=lanes,
            headers=HEADERS,
            cookies=no_cookies(),
            timeout=_TIMEOUT,
            trust_env=False,
        )
        self._lanes = lanes

    def rest(self) -> None:
        """Close every connection that has no request under way."""
        self._lanes.rest()


def new_client(
    authorities: Path | None = None, proxy: Proxy | None = None, dice: Dice = _DICE
) -> RelayClient:
    """A client that speaks TLS 1.3 or newer, follows no redirect and keeps no cookie; each token
    that it shows has connections of its own.

    It believes the public certificate authorities, or those of a PEM file alone. Whatever is not on
    this machine is asked through ``proxy``, which gets other random credentials for each token.

    Raises:
        BadSetting: there are no certificates in that file.
    """
    context = _believing(authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return RelayClient(Lanes(lambda url: PacedTransport(context, way_to(url, proxy, dice))))


def way_to(url: httpx.URL, proxy: Proxy | None, dice: Dice = _DICE) -> Way | None:
    """By which proxy, and as whom; this machine needs none."""
    if proxy is None or is_this_machine(url.host):
        return None
    return Way(proxy, dice.token(_NAME_BYTES).hex(), dice.token(_NAME_BYTES).hex())


def _believing(authorities: Path | None) -> ssl.SSLContext:
    if authorities is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError:  # ssl.SSLError is one
        raise BadSetting(
            name="ENTRENOUS_RELAY_CA", wanted="a file of certificates in PEM form"
        ) from None
