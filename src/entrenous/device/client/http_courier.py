"""A relay over HTTPS: mailboxes, envelopes, blobs in chunks, shares, locks and wake-ups."""

import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from entrenous.base.environment import (
    BadSetting,
    Proxy,
    RandomSource,
    SystemRandomSource,
    is_loopback,
)
from entrenous.base.errors import NoSuchBlob, NotUnderstood
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import TRANSFER_BYTES_MIN_PER_INTERVAL
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.device.client.connections import (
    CONSTANT_HEADERS,
    PerTokenTransport,
    ProxyRoute,
    RateCheckedTransport,
    refusing_cookie_jar,
)
from entrenous.device.client.relay_request import (
    LETTER_PAGE_BYTES_MAX,
    AnswerReader,
    RelayCall,
    RetryPolicy,
    TokenSubject,
    UnlinkingPauses,
    discard_body,
    send_request,
    stream_request,
)
from entrenous.wire import relay_json
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import read_relay_status, read_upload_progress
from entrenous.wire.relay_nouns import (
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    ProtocolVersions,
    RelayLock,
    SendToken,
    SendTokenChanges,
    UnlockAnswer,
    VaultUnlock,
    WaitingEnvelope,
)

_HTTP_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_PROXY_CREDENTIAL_BYTES: Final = 16  # random bytes of a user name, and of a password, at a proxy
_UPLOAD_CHUNK_BYTES: Final = 1024 * 1024
_RANDOM_SOURCE: Final = SystemRandomSource()


class HttpCourier:
    """:class:`entrenous.device.device.Courier` over HTTPS; that protocol documents the methods.

    ``patience_s``: how long to retry while a relay does not answer, measured with ``now_s``.
    ``pause_s``: the longest random pause between requests that a relay should not link
    (:class:`UnlinkingPauses`).
    """

    def __init__(
        self,
        client: httpx.Client,
        patience_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
        pause_s: float = 0.0,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._patience_s, self._now_s, self._sleep_s = patience_s, now_s, sleep_s
        close_idle = client.close_idle_connections if isinstance(client, RelayClient) else None
        self._pauses = UnlinkingPauses(pause_s, _RANDOM_SOURCE, close_idle)
        self._patience = RetryPolicy(patience_s, now_s)
        # Three separate policies: when a large transfer or a wait for a letter has timed out, short
        # requests may still succeed.
        self._patience_for_wakes = RetryPolicy(patience_s, now_s)
        self._patience_for_transfers = RetryPolicy(patience_s, now_s)

    def _send_request(
        self, url: str, call: RelayCall, patience: RetryPolicy | None = None
    ) -> bytes:
        with self._pauses.pausing_before(call):
            return send_request(self._client, url, call, patience or self._patience)

    def _stream_request(
        self, url: str, build_call: Callable[[], RelayCall], receive: AnswerReader
    ) -> None:
        # The first RelayCall is built before the pause, whose length depends on it. Each retry
        # builds a new one.
        first = [build_call()]

        def build_next_call() -> RelayCall:
            return first.pop() if first else build_call()

        with self._pauses.pausing_before(first[0]):
            stream_request(
                self._client,
                url,
                build_next_call,
                receive,
                self._patience_for_transfers,
                TRANSFER_BYTES_MIN_PER_INTERVAL,
            )

    def create_mailbox(
        self, url: str, mailbox: MailboxId, owner: Secret, close: Secret | None = None
    ) -> None:
        body = relay_json.write_mailbox_token_hashes(
            token_hash(owner), token_hash(close) if close else None
        )
        self._send_request(url, RelayCall("PUT", f"mailboxes/{to_base64url(mailbox)}", body=body))

    def publish_key_bundle(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        self._send_request(
            url, RelayCall("PUT", f"mailboxes/{to_base64url(mailbox)}/card", owner, card)
        )

    def key_bundle(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        path = f"mailboxes/{to_base64url(mailbox)}/card"
        return self._send_request(
            url, RelayCall("GET", path, token, token_subject=TokenSubject.LETTER)
        )

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        body = relay_json.write_prekeys(prekeys)
        answer = self._send_request(
            url, RelayCall("PUT", _prekeys_path(mailbox, device), owner, body)
        )
        return relay_json.read_one_time_key_count(answer)

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        answer = self._send_request(url, RelayCall("GET", _prekeys_path(mailbox, device), owner))
        return relay_json.read_one_time_key_count(answer)

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        path = f"{_prekeys_path(mailbox, device)}/claim"
        answer = self._send_request(
            url, RelayCall("POST", path, token, token_subject=TokenSubject.LETTER)
        )
        return relay_json.read_prekey_bundle(answer, device)

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        path = f"mailboxes/{to_base64url(mailbox)}/tokens/{to_base64url(token.lock)}"
        self._send_request(url, RelayCall("PUT", path, owner, relay_json.write_send_token(token)))

    def change_tokens(
        self, url: str, mailbox: MailboxId, owner: Secret, batch: SendTokenChanges
    ) -> int:
        path, body = (
            f"mailboxes/{to_base64url(mailbox)}/tokens",
            relay_json.write_send_token_changes(batch),
        )
        return relay_json.read_send_token_count(
            self._send_request(url, RelayCall("POST", path, owner, body))
        )

    def drop_send_token(
        self, url: str, mailbox: MailboxId, owner: Secret, send_token_hash: bytes
    ) -> None:
        path = f"mailboxes/{to_base64url(mailbox)}/tokens/{to_base64url(send_token_hash)}"
        self._send_request(url, RelayCall("DELETE", path, owner))

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        path = f"mailboxes/{to_base64url(envelope.mailbox)}/envelopes/{to_base64url(envelope.id)}"
        body = relay_json.write_envelope(envelope)
        self._send_request(
            url, RelayCall("PUT", path, token, body, token_subject=TokenSubject.LETTER)
        )

    def waiting_envelopes(
        self, url: str, mailbox: MailboxId, owner: Secret, after: int
    ) -> list[WaitingEnvelope]:
        path = f"mailboxes/{to_base64url(mailbox)}/envelopes?after={after}"
        return relay_json.read_waiting_envelopes(
            self._send_request(url, RelayCall("GET", path, owner, limit=LETTER_PAGE_BYTES_MAX))
        )

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        path = f"mailboxes/{to_base64url(mailbox)}/envelopes/{to_base64url(envelope)}"
        self._send_request(url, RelayCall("DELETE", path, owner))

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        path = f"envelopes/{to_base64url(envelope)}/withdraw"
        call = RelayCall(
            "POST", path, withdraw_token, token_subject=TokenSubject.NOBODY
        )  # no pause before a recall: every second counts
        return relay_json.read_envelope_status(self._send_request(url, call))

    def envelope_status(
        self, url: str, envelope: EnvelopeId, withdraw_token: Secret
    ) -> EnvelopeStatus:
        path = f"envelopes/{to_base64url(envelope)}/state"
        call = RelayCall("GET", path, withdraw_token, token_subject=TokenSubject.LETTER_STATE)
        return relay_json.read_envelope_status(self._send_request(url, call))

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        path, body = (
            f"shares/{to_base64url(envelope)}/open",
            relay_json.write_opening_attempt(attempt),
        )
        return relay_json.read_released_share(
            self._send_request(url, RelayCall("POST", path, open_token, body))
        )

    def finish_opening(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> None:
        body = relay_json.write_opening_attempt(attempt)
        self._send_request(
            url, RelayCall("POST", f"shares/{to_base64url(envelope)}/finish", open_token, body)
        )

    def create_lock(self, lock: RelayLock, owner: Secret) -> None:
        body = relay_json.write_unlock_token_hash(token_hash(lock.unlock_token))
        path = f"mailboxes/{to_base64url(lock.mailbox)}/lock"
        self._send_request(lock.relay_url, RelayCall("PUT", path, owner, body))

    def unlock(self, lock: RelayLock, blinded: bytes) -> UnlockAnswer:
        path = f"mailboxes/{to_base64url(lock.mailbox)}/lock/evaluate"
        question = RelayCall(
            "POST", path, lock.unlock_token, relay_json.write_blinded_element(blinded)
        )
        return relay_json.read_unlock_answer(self._send_request(lock.relay_url, question))

    def report_vault_unlock(
        self, url: str, mailbox: MailboxId, owner: Secret, opening: VaultUnlock
    ) -> None:
        path = f"mailboxes/{to_base64url(mailbox)}/lock/opened"
        self._send_request(
            url, RelayCall("POST", path, owner, relay_json.write_vault_unlock(opening))
        )

    def allow_more_tries(self, url: str, mailbox: MailboxId, close: Secret) -> None:
        self._send_request(
            url, RelayCall("POST", f"mailboxes/{to_base64url(mailbox)}/lock/reset", close)
        )

    def replace_unlock_token(self, lock: RelayLock, owner: Secret) -> None:
        body = relay_json.write_unlock_token_hash(token_hash(lock.unlock_token))
        path = f"mailboxes/{to_base64url(lock.mailbox)}/lock/renew"
        self._send_request(lock.relay_url, RelayCall("POST", path, owner, body))

    def set_close_token(self, url: str, mailbox: MailboxId, owner: Secret, close: Secret) -> None:
        body = relay_json.write_close_token_hash(token_hash(close))
        self._send_request(
            url, RelayCall("PUT", f"mailboxes/{to_base64url(mailbox)}/close-lock", owner, body)
        )

    def close_mailbox(self, url: str, mailbox: MailboxId, token: Secret) -> None:
        self._send_request(url, RelayCall("DELETE", f"mailboxes/{to_base64url(mailbox)}", token))

    def wait_for_letter(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Return whether a letter waits or arrives within ``seconds``.

        A relay without a letter answers 204, with no body. A relay with too many waiting devices
        answers early. Asking again at once would displace another device, which would then do the
        same; so this function waits for the rest of the time, at most ``patience_s``.
        """
        path, began_s = f"mailboxes/{to_base64url(mailbox)}/wake?seconds={seconds}", self._now_s()
        if self._send_request(url, RelayCall("GET", path, owner), self._patience_for_wakes):
            return True
        left_s = seconds - (self._now_s() - began_s)
        if (rest_s := min(left_s, self._patience_s)) > 0:
            self._sleep_s(rest_s)
        return False

    def status(self, url: str) -> tuple[ProtocolVersions, datetime | None]:
        return read_relay_status(
            self._send_request(url, RelayCall("GET", "status", token_subject=TokenSubject.NOBODY))
        )

    def upload_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        headers = {
            "Entrenous-Fetch-Lock": to_base64url(deposit.fetch_lock),
            "Entrenous-Withdraw-Lock": to_base64url(deposit.withdraw_lock),
            "Entrenous-Expires-At": str(int(deposit.expires_at.timestamp())),
            "Entrenous-Sha256": to_base64url(deposit.sha256),
            "Entrenous-Offset": str(start),
            "Content-Length": str(_blob_length(deposit, data) - start),
        }
        path = _blob_path(deposit.mailbox, deposit.id)

        def build_upload_call() -> RelayCall:
            return RelayCall(
                "PUT",
                path,
                token,
                _request_body_from(data, start),
                headers,
                token_subject=TokenSubject.LETTER,
            )

        self._stream_request(url, build_upload_call, discard_body)

    def uploaded_size(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        try:
            call = RelayCall(
                "GET", _blob_path(mailbox, blob), withdraw_token, token_subject=TokenSubject.LETTER
            )
            answer = self._send_request(url, call)
        except NoSuchBlob:
            return 0
        received, size = read_upload_progress(answer)
        if received > size:
            raise NotUnderstood
        return received

    def download_blob(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        download = _BlobDownload(writer, start)

        def build_download_call() -> RelayCall:
            return RelayCall(
                "GET", f"blobs/{to_base64url(blob)}", fetch_token, headers=download.range_header()
            )

        self._stream_request(url, build_download_call, download.write_answer)


class _BlobDownload:
    """The download of one blob.

    Each byte is written once, even if the connection is lost during the download.
    """

    def __init__(self, writer: BinaryIO, start: int) -> None:
        self._writer = writer
        self._at = start

    def range_header(self) -> dict[str, str]:
        return {"Range": f"bytes={self._at}-"} if self._at else {}

    def write_answer(self, answer: httpx.Response) -> None:
        if self._at and not self._is_continuation(answer):
            raise NotUnderstood
        for chunk in answer.iter_raw():
            self._writer.write(chunk)
            self._at += len(chunk)

    def _is_continuation(self, answer: httpx.Response) -> bool:
        content_range = answer.headers.get("content-range", "")
        return answer.status_code == HTTPStatus.PARTIAL_CONTENT and content_range.startswith(
            f"bytes {self._at}-"
        )


def _blob_path(mailbox: MailboxId, blob: BlobId) -> str:
    return f"mailboxes/{to_base64url(mailbox)}/blobs/{to_base64url(blob)}"


def _blob_length(deposit: BlobDeposit, data: bytes | BinaryIO) -> int:
    """Return the blob's length in bytes.

    If ``data`` is bytes, this is their actual length, so that the relay detects a wrong length in
    ``deposit``.
    """
    return len(data) if isinstance(data, bytes) else deposit.size


def _request_body_from(data: bytes | BinaryIO, start: int) -> bytes | Iterator[bytes]:
    if isinstance(data, bytes):
        return data[start:]
    data.seek(start)
    return iter(lambda: data.read(_UPLOAD_CHUNK_BYTES), b"")


class RelayClient(httpx.Client):
    """An HTTP client without cookies, whose requests look the same on every device."""

    def __init__(self, connections: PerTokenTransport) -> None:
        super().__init__(
            transport=connections,
            headers=CONSTANT_HEADERS,
            cookies=refusing_cookie_jar(),
            timeout=_HTTP_TIMEOUT,
            trust_env=False,
        )
        self._connections = connections

    def close_idle_connections(self) -> None:
        self._connections.close_idle()


def new_relay_client(
    authorities: Path | None = None,
    proxy: Proxy | None = None,
    random_source: RandomSource = _RANDOM_SOURCE,
) -> RelayClient:
    """Create a client for TLS 1.3 or newer, without redirects or cookies, with separate connections
    for each token.

    It trusts the public certificate authorities, or only those of a PEM file. Requests to other
    machines go through ``proxy``, with separate random credentials for each token.

    Raises BadSetting if the file holds no certificates.
    """
    context = _tls_context(authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return RelayClient(
        PerTokenTransport(
            lambda url: RateCheckedTransport(context, proxy_route_for(url, proxy, random_source))
        )
    )


def proxy_route_for(
    url: httpx.URL, proxy: Proxy | None, random_source: RandomSource = _RANDOM_SOURCE
) -> ProxyRoute | None:
    """Return the proxy for a URL, with random credentials; None if the URL is on this machine."""
    if proxy is None or is_loopback(url.host):
        return None
    return ProxyRoute(
        proxy,
        random_source.token(_PROXY_CREDENTIAL_BYTES).hex(),
        random_source.token(_PROXY_CREDENTIAL_BYTES).hex(),
    )


def _tls_context(authorities: Path | None) -> ssl.SSLContext:
    if authorities is None:
        return _public_authorities_context()
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError:  # ssl.SSLError is an OSError, too
        wanted = "a file of certificates in PEM form"
        raise BadSetting(name="ENTRENOUS_RELAY_CA", wanted=wanted) from None


@cache
def _public_authorities_context() -> ssl.SSLContext:
    """Return one context for all clients, since reading the certificates takes about ten
    milliseconds.
    """
    return httpx.create_ssl_context(trust_env=False)


def _prekeys_path(mailbox: MailboxId, device: DeviceId) -> str:
    return f"mailboxes/{to_base64url(mailbox)}/prekeys/{to_base64url(device)}"
