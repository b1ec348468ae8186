"""A relay over HTTPS: mailboxes, envelopes, blobs a chunk at a time, shares, locks and wake-ups."""

import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from entrenous.base.environment import BadSetting, Dice, Proxy, SystemDice, is_loopback
from entrenous.base.errors import NoSuchBlob, NotUnderstood
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import PACE_BYTES_MIN
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import lock_of
from entrenous.device.client.connections import (
    HEADERS,
    Lanes,
    PacedTransport,
    ProxyRoute,
    no_cookies,
)
from entrenous.device.client.relay_request import (
    PAGE_BYTES_MAX,
    Ask,
    Asks,
    Errand,
    Patience,
    PausedRequests,
    Streams,
    Takes,
    ask,
    converse,
    end_of,
)
from entrenous.wire import relay_json as about
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import read_status, read_upload
from entrenous.wire.relay_nouns import (
    Answered,
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    Opening,
    PrekeyBundle,
    Prekeys,
    Protocol,
    RelayLock,
    SendToken,
    TokenBatch,
    Waiting,
)


class HttpMailboxes:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def create_mailbox(
        self, url: str, mailbox: MailboxId, owner: Secret, close: Secret | None = None
    ) -> None:
        """Make a mailbox that ``owner`` opens, and ``close`` deletes."""
        body = about.write_mailbox_locks(lock_of(owner), lock_of(close) if close else None)
        self._ask(url, Ask("PUT", f"mailboxes/{to_base64url(mailbox)}", body=body))

    def publish_card(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        """Put the card where holders of a send token can read it."""
        self._ask(url, Ask("PUT", f"mailboxes/{to_base64url(mailbox)}/card", owner, card))

    def card(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        """Read a card."""
        path = f"mailboxes/{to_base64url(mailbox)}/card"
        return self._ask(url, Ask("GET", path, token, errand=Errand.LETTER))

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        """Add prekeys; returns how many one-time keys the relay now holds."""
        body = about.write_prekeys(prekeys)
        answer = self._ask(url, Ask("PUT", _prekeys(mailbox, device), owner, body))
        return about.read_key_count(answer)

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        """How many one-time keys the relay still holds."""
        answer = self._ask(url, Ask("GET", _prekeys(mailbox, device), owner))
        return about.read_key_count(answer)

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        """Take what is needed to start a session with that device."""
        path = f"{_prekeys(mailbox, device)}/claim"
        answer = self._ask(url, Ask("POST", path, token, errand=Errand.LETTER))
        return about.read_bundle(answer, device)

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        """Let holders of a token write to this mailbox."""
        path = f"mailboxes/{to_base64url(mailbox)}/tokens/{to_base64url(token.lock)}"
        self._ask(url, Ask("PUT", path, owner, about.write_send_token(token)))

    def change_tokens(self, url: str, mailbox: MailboxId, owner: Secret, batch: TokenBatch) -> int:
        """Add and drop many tokens of one use each."""
        path, body = f"mailboxes/{to_base64url(mailbox)}/tokens", about.write_batch(batch)
        return about.read_held(self._ask(url, Ask("POST", path, owner, body)))

    def withdraw_token(self, url: str, mailbox: MailboxId, owner: Secret, lock: bytes) -> None:
        """Stop letting them."""
        self._ask(
            url,
            Ask("DELETE", f"mailboxes/{to_base64url(mailbox)}/tokens/{to_base64url(lock)}", owner),
        )


def _prekeys(mailbox: MailboxId, device: DeviceId) -> str:
    return f"mailboxes/{to_base64url(mailbox)}/prekeys/{to_base64url(device)}"


class HttpLetters:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        """Post an envelope; durable when it returns; may be repeated."""
        path = f"mailboxes/{to_base64url(envelope.mailbox)}/envelopes/{to_base64url(envelope.id)}"
        body = about.write_envelope(envelope)
        self._ask(url, Ask("PUT", path, token, body, errand=Errand.LETTER))

    def waiting(self, url: str, mailbox: MailboxId, owner: Secret, after: int) -> list[Waiting]:
        """Envelopes with a sequence above ``after``, oldest first, at most a page of them."""
        path = f"mailboxes/{to_base64url(mailbox)}/envelopes?after={after}"
        return about.read_waiting(self._ask(url, Ask("GET", path, owner, limit=PAGE_BYTES_MAX)))

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        """Say that an envelope is on disk here; the relay forgets its bytes."""
        self._ask(
            url,
            Ask(
                "DELETE",
                f"mailboxes/{to_base64url(mailbox)}/envelopes/{to_base64url(envelope)}",
                owner,
            ),
        )

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Take an envelope back."""
        path = f"envelopes/{to_base64url(envelope)}/withdraw"
        what = Ask("POST", path, withdraw_token, errand=Errand.OF_NOBODY)  # each second counts
        return about.read_look(self._ask(url, what))

    def state(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Where one of our own envelopes is."""
        path = f"envelopes/{to_base64url(envelope)}/state"
        what = Ask("GET", path, withdraw_token, errand=Errand.LOOK)
        return about.read_look(self._ask(url, what))


class HttpShares:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key."""
        body = about.write_attempt(attempt)
        answer = self._ask(
            url, Ask("POST", f"shares/{to_base64url(envelope)}/open", open_token, body)
        )
        return about.read_share(answer)

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        body = about.write_attempt(attempt)
        self._ask(url, Ask("POST", f"shares/{to_base64url(envelope)}/finish", open_token, body))


class HttpLocks:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def make_lock(self, lock: RelayLock, owner: Secret) -> None:
        """Have a key drawn for this device; may be repeated."""
        body = about.write_unlock_lock(lock_of(lock.unlock_token))
        self._ask(
            lock.relay_url, Ask("PUT", f"mailboxes/{to_base64url(lock.mailbox)}/lock", owner, body)
        )

    def unlock(self, lock: RelayLock, blinded: bytes) -> Answered:
        """Ask one question; it is counted."""
        path = f"mailboxes/{to_base64url(lock.mailbox)}/lock/evaluate"
        question = Ask("POST", path, lock.unlock_token, about.write_question(blinded))
        return about.read_answer(self._ask(lock.relay_url, question))

    def note_opened(self, url: str, mailbox: MailboxId, owner: Secret, opening: Opening) -> None:
        """Say that the vault opened, in this state of it."""
        path = f"mailboxes/{to_base64url(mailbox)}/lock/opened"
        self._ask(url, Ask("POST", path, owner, about.write_opened(opening)))

    def allow_more_tries(self, url: str, mailbox: MailboxId, close: Secret) -> None:
        """Give a device all its tries back."""
        self._ask(url, Ask("POST", f"mailboxes/{to_base64url(mailbox)}/lock/reset", close))

    def renew_lock(self, lock: RelayLock, owner: Secret) -> None:
        """From now on this token asks questions; may be repeated."""
        body = about.write_unlock_lock(lock_of(lock.unlock_token))
        path = f"mailboxes/{to_base64url(lock.mailbox)}/lock/renew"
        self._ask(lock.relay_url, Ask("POST", path, owner, body))

    def set_close_token(self, url: str, mailbox: MailboxId, owner: Secret, close: Secret) -> None:
        """From now on, ``close`` deletes this mailbox."""
        body = about.write_close_lock(lock_of(close))
        self._ask(url, Ask("PUT", f"mailboxes/{to_base64url(mailbox)}/close-lock", owner, body))

    def close_mailbox(self, url: str, mailbox: MailboxId, token: Secret) -> None:
        """Delete a mailbox and all that lies in it; may be repeated."""
        self._ask(url, Ask("DELETE", f"mailboxes/{to_base64url(mailbox)}", token))


class HttpWakes:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer.

    ``rest_s``: how long at most it rests where a relay answered a wake-up early.
    """

    def __init__(
        self,
        asks: Asks,
        rest_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = asks
        self._rest_s = rest_s
        self._now_s = now_s
        self._sleep_s = sleep_s

    def wake(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Whether something waits; a relay has 204 and no body for "nothing".

        A relay that has no place for us says so early. Who asked again at once would take the place
        of somebody else, who would do the same; so the rest of the time passes here.
        """
        path, began_s = f"mailboxes/{to_base64url(mailbox)}/wake?seconds={seconds}", self._now_s()
        if self._ask(url, Ask("GET", path, owner)):
            return True
        left_s = seconds - (self._now_s() - began_s)
        if (rest_s := min(left_s, self._rest_s)) > 0:
            self._sleep_s(rest_s)
        return False

    def status(self, url: str) -> tuple[Protocol, datetime | None]:
        """What a relay says about itself."""
        return read_status(self._ask(url, Ask("GET", "status", errand=Errand.OF_NOBODY)))


_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_NAME_BYTES: Final = 16  # of a user name, and of a password, at a proxy
_DICE: Final = SystemDice()


class HttpCourier:
    """A :class:`entrenous.device.device.Courier` over one client, as :func:`new_client` makes it.

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
        self._apart = PausedRequests(pause_s, _DICE, rest)
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


def way_to(url: httpx.URL, proxy: Proxy | None, dice: Dice = _DICE) -> ProxyRoute | None:
    """By which proxy, and as whom; this machine needs none."""
    if proxy is None or is_loopback(url.host):
        return None
    return ProxyRoute(proxy, dice.token(_NAME_BYTES).hex(), dice.token(_NAME_BYTES).hex())


def _believing(authorities: Path | None) -> ssl.SSLContext:
    if authorities is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError:  # ssl.SSLError is one
        raise BadSetting(
            name="ENTRENOUS_RELAY_CA", wanted="a file of certificates in PEM form"
        ) from None


_CHUNK: Final = 1024 * 1024  # bytes


class HttpBlobs:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer,
    ``streams`` makes one whose body or answer is too large to be held.
    """

    def __init__(self, asks: Asks, streams: Streams) -> None:
        self._ask = asks
        self._stream = streams

    def bring_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        """Upload a blob from byte ``start`` on; durable when it returns; may be repeated."""
        said = {
            "Entrenous-Fetch-Lock": to_base64url(deposit.fetch_lock),
            "Entrenous-Withdraw-Lock": to_base64url(deposit.withdraw_lock),
            "Entrenous-Expires-At": str(int(deposit.expires_at.timestamp())),
            "Entrenous-Sha256": to_base64url(deposit.sha256),
            "Entrenous-Offset": str(start),
            "Content-Length": str(_length(deposit, data) - start),
        }
        path = _path(deposit.mailbox, deposit.id)

        def each_try() -> Ask:
            return Ask("PUT", path, token, _from(data, start), said, errand=Errand.LETTER)

        self._stream(url, each_try, end_of)

    def how_much_came(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        """How many bytes of a blob are there, for who brings it; 0 when nothing is."""
        try:
            what = Ask("GET", _path(mailbox, blob), withdraw_token, errand=Errand.LETTER)
            told = self._ask(url, what)
        except NoSuchBlob:
            return 0
        came, size = read_upload(told)
        if came > size:
            raise NotUnderstood
        return came

    def blob_to(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        """Download a blob from byte ``start`` on; how much comes is for ``writer`` to limit."""
        coming = _Coming(writer, start)

        def each_try() -> Ask:
            return Ask("GET", f"blobs/{to_base64url(blob)}", fetch_token, headers=coming.asked())

        self._stream(url, each_try, coming.take)


class _Coming:
    """One download: what came is written once, also when the connection was lost in between."""

    def __init__(self, writer: BinaryIO, start: int) -> None:
        self._writer = writer
        self._at = start

    def asked(self) -> dict[str, str]:
        return {"Range": f"bytes={self._at}-"} if self._at else {}

    def take(self, answer: httpx.Response) -> None:
        if self._at and not self._goes_on(answer):
            raise NotUnderstood
        for chunk in answer.iter_raw():
            self._writer.write(chunk)
            self._at += len(chunk)

    def _goes_on(self, answer: httpx.Response) -> bool:
        said = answer.headers.get("content-range", "")
        return answer.status_code == HTTPStatus.PARTIAL_CONTENT and said.startswith(
            f"bytes {self._at}-"
        )


def _path(mailbox: MailboxId, blob: BlobId) -> str:
    return f"mailboxes/{to_base64url(mailbox)}/blobs/{to_base64url(blob)}"


def _length(deposit: BlobDeposit, data: bytes | BinaryIO) -> int:
    """Of bytes it is what they have, so that the relay is who judges them."""
    return len(data) if isinstance(data, bytes) else deposit.size


def _from(data: bytes | BinaryIO, start: int) -> bytes | Iterator[bytes]:
    if isinstance(data, bytes):
        return data[start:]
    data.seek(start)
    return iter(lambda: data.read(_CHUNK), b"")
