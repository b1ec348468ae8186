"""The handlers of the relay's HTTP interface (docs/spec/relay.md)."""

import asyncio
import ipaddress
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from entrenous.base.errors import NotUnderstood, TooLarge
from entrenous.base.limits import (
    BLOB_BYTES_MAX,
    ENCRYPTED_KEY_BUNDLE_BYTES_MAX,
    ENVELOPES_PER_PAGE_MAX,
    ONE_TIME_KEYS_MAX,
    PREKEY_BYTES_MAX,
    PROTOCOL_NEWEST,
    SEALED_LETTER_BYTES_MAX,
    TOKEN_BATCH_MAX,
    TOKEN_HASH_BYTES,
    TRANSFER_BYTES_MIN_PER_INTERVAL,
    TRANSFER_INTERVAL_S,
    WAKE_REQUEST_S_MAX,
)
from entrenous.base.program import this_program_version
from entrenous.carry.accept import accept, acknowledge, check_send_token, list_waiting_envelopes
from entrenous.carry.blob_upload import find_blob, find_upload_progress, upload_blob
from entrenous.carry.device_lock import (
    count_try_and_evaluate,
    create_lock,
    record_unlock_and_restore_tries,
    replace_unlock_token_hash,
    restore_all_tries,
)
from entrenous.carry.http.request_handling import (
    SMALL_BODY_BYTES_MAX,
    RelayRequest,
    ShortResponse,
    blob_of,
    device_of,
    envelope_of,
    has_large_body,
    mailbox_of,
    parse_number,
    read_body,
    read_body_chunks,
    token_hash_of,
    token_of,
)
from entrenous.carry.mailbox import (
    claim_prekeys,
    count_one_time_keys,
    create_mailbox,
    delete_mailbox_with_contents,
    find_key_bundle,
    replace_close_token_hash,
    replace_key_bundle,
    replace_prekeys,
)
from entrenous.carry.relay import Relay, time_of_last_restore, wait_timeout
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.send_tokens import (
    add_and_drop_send_tokens,
    check_owner_token,
    drop_send_token,
    register_send_token,
)
from entrenous.carry.wake_ups import wait_for_envelope
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire import relay_json
from entrenous.wire.encodings import from_base64url, to_base64url
from entrenous.wire.relay_nouns import BlobDeposit, ProtocolVersions

_RANGE_PATTERN: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeNotSatisfiable(Exception):
    """The range contains no byte of the blob (status 416)."""


def parse_byte_range(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """Return the start and the end (exclusive) of the requested byte range; None for the whole
    blob.

    A header that does not name exactly one range of bytes is ignored, as RFC 9110 section 14.2
    allows. A range for a different version of the blob (``If-Range``) is ignored too.

    Raises:
        RangeNotSatisfiable: the range begins after the last byte, or is empty.
    """
    found = _RANGE_PATTERN.fullmatch(headers.get("range", ""))
    if not found or headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if not first:
        return _suffix_byte_range(int(last), size) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable
    return int(first), min(int(last) + 1, size) if last else size


def _suffix_byte_range(count: int, size: int) -> tuple[int, int]:
    if count == 0:
        raise RangeNotSatisfiable
    return max(0, size - count), size


async def yield_while_fast_enough(
    chunks: AsyncIterator[bytes], now_s: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """Yield the bytes of a body while its sender is fast enough.

    In each minute of waiting, at least TRANSFER_BYTES_MIN_PER_INTERVAL bytes or the end of the body
    must arrive. The time for storing bytes is not counted.

    Raises:
        ClientDisconnect: too few bytes arrived, so the sender counts as disconnected.
    """
    received_bytes, left_s = 0, TRANSFER_INTERVAL_S
    while True:
        since_s = now_s()
        try:
            async with wait_timeout(left_s):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ClientDisconnect from None
        received_bytes, left_s = received_bytes + len(chunk), left_s - (now_s() - since_s)
        # Bytes beyond the minimum do not count for a later minute.
        if received_bytes >= TRANSFER_BYTES_MIN_PER_INTERVAL:
            received_bytes, left_s = 0, TRANSFER_INTERVAL_S
        yield chunk


_SHA256_BYTES: Final = 32
_UNIX_SECONDS_MAX: Final = 253_402_300_799  # the last second of the year 9999
_CONTENT_LENGTH_MAX: Final = 2**63 - 1


async def put_blob(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/blobs/{blob}``"""
    start = parse_number(request.headers.get("entrenous-offset", "0"), BLOB_BYTES_MAX)
    deposit, token = _parse_blob_deposit(request, start), token_of(request)
    chunks = yield_while_fast_enough(read_body_chunks(request, BLOB_BYTES_MAX))
    with request.app.state.coming.admit_upload(token_hash(token), deposit.size - start):
        is_new = await upload_blob(deposit, token, chunks, relay, start)
    return Response(status_code=201 if is_new else 200)


async def show_upload(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/blobs/{blob}``: tell the uploader how much of the blob is
    stored.
    """
    received_bytes, size = await find_upload_progress(blob_of(request), token_of(request), relay)
    return Response(
        relay_json.write_upload_progress(received_bytes, size), media_type=JSON_MEDIA_TYPE
    )


async def get_blob(request: Request, relay: Relay) -> Response:
    """``GET /v1/blobs/{blob}``, with ranges (RFC 9110 section 14), or ``HEAD``, for which a range
    is ignored (section 14.2). A download never counts as an opening.
    """
    blob = await find_blob(blob_of(request), token_of(request), relay)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{to_base64url(blob.sha256)}"'}
    is_head = request.method == "HEAD"
    try:
        part = None if is_head else parse_byte_range(request.headers, blob.size, headers["ETag"])
    except RangeNotSatisfiable:
        headers["Content-Range"] = f"bytes */{blob.size}"
        return Response(status_code=416, headers=headers)
    start, stop = part or (0, blob.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    headers["Content-Length"] = str(stop - start)
    if is_head:
        stop = start  # no body is sent, so no bytes are read
    chunks = await relay.blobs.read(blob.name, start, stop)
    kind = "application/octet-stream"
    return StreamingResponse(chunks, 206 if part else 200, headers, media_type=kind)


def _parse_blob_deposit(request: Request, start: int) -> BlobDeposit:
    """Parse the headers that describe a blob, whose bytes from ``start`` on are the body."""
    headers = request.headers
    try:
        length = parse_number(headers["content-length"], _CONTENT_LENGTH_MAX)
        seconds = parse_number(headers["entrenous-expires-at"], _UNIX_SECONDS_MAX)
        fetch, withdraw = headers["entrenous-fetch-lock"], headers["entrenous-withdraw-lock"]
        sha256 = from_base64url(headers["entrenous-sha256"], _SHA256_BYTES)
    except KeyError:
        raise NotUnderstood from None
    size = start + length
    if not size:
        raise NotUnderstood
    if size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    locks = (from_base64url(fetch, TOKEN_HASH_BYTES), from_base64url(withdraw, TOKEN_HASH_BYTES))
    expires_at = datetime.fromtimestamp(seconds, UTC)
    return BlobDeposit(blob_of(request), mailbox_of(request), size, sha256, *locks, expires_at)


# Base64url adds a third to the sealed bytes, and the other members take at most 4 KiB.
_ENVELOPE_BODY_BYTES_MAX: Final = 2 * SEALED_LETTER_BYTES_MAX
_SEQUENCE_MAX: Final = 2**53 - 1


async def post_envelope(request: RelayRequest, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/envelopes/{envelope}``"""
    name, mailbox, token = envelope_of(request), mailbox_of(request), token_of(request)
    if has_large_body(request):
        await check_send_token(name, mailbox, token, relay)
    envelope = relay_json.read_envelope(
        await read_body(request, _ENVELOPE_BODY_BYTES_MAX), name, mailbox
    )
    is_new = await accept(envelope, token, relay)
    return ShortResponse(201 if is_new else 200)


async def list_envelopes(request: RelayRequest, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/envelopes``"""
    after = parse_number(request.query_params.get("after", "0"), _SEQUENCE_MAX)
    limit = parse_number(
        request.query_params.get("limit", str(ENVELOPES_PER_PAGE_MAX)), _SEQUENCE_MAX
    )
    page = await list_waiting_envelopes(mailbox_of(request), token_of(request), after, limit, relay)
    return ShortResponse(200, relay_json.write_waiting_envelopes(page), JSON_MEDIA_TYPE)


async def acknowledge_envelope(request: RelayRequest, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}/envelopes/{envelope}``"""
    await acknowledge(mailbox_of(request), token_of(request), envelope_of(request), relay)
    return ShortResponse(204)


async def release_share(request: Request, relay: Relay) -> Response:
    """``POST /v1/shares/{envelope}/open``"""
    attempt = relay_json.read_opening_attempt(await read_body(request, SMALL_BODY_BYTES_MAX))
    share = await release_key_share(envelope_of(request), token_of(request), attempt, relay)
    return Response(relay_json.write_released_share(share), media_type=JSON_MEDIA_TYPE)


async def finish_share(request: Request, relay: Relay) -> Response:
    """``POST /v1/shares/{envelope}/finish``"""
    attempt = relay_json.read_opening_attempt(await read_body(request, SMALL_BODY_BYTES_MAX))
    await finish_attempt(envelope_of(request), token_of(request), attempt, relay)
    return Response(status_code=204)


async def withdraw_envelope(request: Request, relay: Relay) -> Response:
    """``POST /v1/envelopes/{envelope}/withdraw``"""
    status = await withdraw(envelope_of(request), token_of(request), relay)
    return Response(relay_json.write_envelope_status(status), media_type=JSON_MEDIA_TYPE)


async def show_state(request: Request, relay: Relay) -> Response:
    """``GET /v1/envelopes/{envelope}/state``"""
    status = await envelope_status(envelope_of(request), token_of(request), relay)
    return Response(relay_json.write_envelope_status(status), media_type=JSON_MEDIA_TYPE)


_WAKE_UP_BODY: Final = b"{}"  # the same whatever arrived and whoever sent it
#: Makes the server close the connection after the answer, to free its place for other requests.
_CLOSE_CONNECTION_HEADER: Final = {"connection": "close"}
_IPV6_NETWORK_BYTES: Final = 8  # this part of an IPv6 address identifies one customer's network


async def wait_for_letter(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/wake``"""
    seconds = parse_number(
        request.query_params.get("seconds", str(WAKE_REQUEST_S_MAX)), WAKE_REQUEST_S_MAX
    )
    network = client_network_prefix(request.client.host) if request.client else b""
    waiting = wait_for_envelope(mailbox_of(request), token_of(request), seconds, relay, network)
    began_s = time.monotonic()
    comes = waiting if relay.wake_ups is None else _await_unless_disconnected(request, waiting)
    if await comes:
        return Response(_WAKE_UP_BODY, media_type=JSON_MEDIA_TYPE)
    is_early = time.monotonic() - began_s < seconds - 1
    return Response(status_code=204, headers=_CLOSE_CONNECTION_HEADER if is_early else None)


def client_network_prefix(host: str) -> bytes:
    """Return an IPv4 address, or the first 64 bits of an IPv6 one; b"" for anything else."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return b""
    address = getattr(address, "ipv4_mapped", None) or address
    return address.packed[:_IPV6_NETWORK_BYTES]


async def _await_unless_disconnected(request: Request, waiting: Coroutine[Any, Any, bool]) -> bool:
    """Return the result of ``waiting``; stop waiting at once if the client disconnects.

    Raises:
        ClientDisconnect: the client hung up.
    """
    answer, disconnect = (
        asyncio.create_task(waiting),
        asyncio.create_task(_wait_for_disconnect(request)),
    )
    try:
        await asyncio.wait((answer, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for task in (answer, disconnect):
            task.cancel()
        await asyncio.gather(answer, disconnect, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


JSON_MEDIA_TYPE: Final = "application/json"
_TOKEN_BATCH_BYTES_MAX: Final = 2 * TOKEN_BATCH_MAX * 48 + SMALL_BODY_BYTES_MAX
_PREKEYS_BYTES_MAX: Final = (
    ONE_TIME_KEYS_MAX * 2 + 2
) * PREKEY_BYTES_MAX * 4 // 3 + SMALL_BODY_BYTES_MAX


async def show_status(_: Request, relay: Relay) -> Response:
    """``GET /v1/status``"""
    protocol = ProtocolVersions(relay.limits.floor, PROTOCOL_NEWEST)
    restored = await relay.mail.read(time_of_last_restore)
    return Response(
        relay_json.write_relay_status(protocol, restored, this_program_version()),
        media_type=JSON_MEDIA_TYPE,
    )


async def put_mailbox(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}``"""
    owner_lock, close_lock = relay_json.read_mailbox_token_hashes(
        await read_body(request, SMALL_BODY_BYTES_MAX)
    )
    is_new = await create_mailbox(mailbox_of(request), owner_lock, relay, close_lock)
    return Response(status_code=201 if is_new else 200)


async def publish_card(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/card``"""
    card = await _read_owners_body(request, relay, ENCRYPTED_KEY_BUNDLE_BYTES_MAX)
    await replace_key_bundle(mailbox_of(request), token_of(request), card, relay)
    return Response(status_code=204)


async def show_card(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/card``"""
    card = await find_key_bundle(mailbox_of(request), token_of(request), relay)
    return Response(card, media_type="application/cbor")


async def publish_prekeys(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/prekeys/{device}``"""
    prekeys = relay_json.read_prekeys(await _read_owners_body(request, relay, _PREKEYS_BYTES_MAX))
    mailbox, device = mailbox_of(request), device_of(request)
    count = await replace_prekeys(mailbox, token_of(request), device, prekeys, relay)
    return Response(relay_json.write_one_time_key_count(count), media_type=JSON_MEDIA_TYPE)


async def show_prekeys(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/prekeys/{device}``"""
    mailbox, device = mailbox_of(request), device_of(request)
    count = await count_one_time_keys(mailbox, token_of(request), device, relay)
    return Response(relay_json.write_one_time_key_count(count), media_type=JSON_MEDIA_TYPE)


async def hand_out_prekeys(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/prekeys/{device}/claim``"""
    mailbox, device = mailbox_of(request), device_of(request)
    bundle = await claim_prekeys(mailbox, token_of(request), device, relay)
    return Response(relay_json.write_prekey_bundle(bundle), media_type=JSON_MEDIA_TYPE)


async def grant_token(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/tokens/{lock}``"""
    granted = relay_json.read_send_token(
        await read_body(request, SMALL_BODY_BYTES_MAX), token_hash_of(request)
    )
    is_new = await register_send_token(mailbox_of(request), token_of(request), granted, relay)
    return Response(status_code=201 if is_new else 200)


async def change_tokens(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/tokens``"""
    batch = relay_json.read_send_token_changes(
        await _read_owners_body(request, relay, _TOKEN_BATCH_BYTES_MAX)
    )
    registered = await add_and_drop_send_tokens(
        mailbox_of(request), token_of(request), batch, relay
    )
    return Response(relay_json.write_send_token_count(registered), media_type=JSON_MEDIA_TYPE)


async def revoke_token(request: Request, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}/tokens/{lock}``"""
    await drop_send_token(mailbox_of(request), token_of(request), token_hash_of(request), relay)
    return Response(status_code=204)


async def _read_owners_body(request: Request, relay: Relay, limit: int) -> bytes:
    """Return the whole body; check the owner's token before reading a large one."""
    mailbox, token = mailbox_of(request), token_of(request)
    if has_large_body(request):
        await check_owner_token(mailbox, token, relay)
    return await read_body(request, limit)


async def put_lock(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/lock``"""
    unlock_lock = relay_json.read_unlock_token_hash(await read_body(request, SMALL_BODY_BYTES_MAX))
    is_new = await create_lock(mailbox_of(request), token_of(request), unlock_lock, relay)
    return Response(status_code=201 if is_new else 200)


async def evaluate_question(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/evaluate``"""
    blinded = relay_json.read_blinded_element(await read_body(request, SMALL_BODY_BYTES_MAX))
    evaluation = await count_try_and_evaluate(
        mailbox_of(request), token_of(request), blinded, relay
    )
    return Response(relay_json.write_unlock_answer(evaluation), media_type=JSON_MEDIA_TYPE)


async def confirm_unlock(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/opened``"""
    opening = relay_json.read_vault_unlock(await read_body(request, SMALL_BODY_BYTES_MAX))
    await record_unlock_and_restore_tries(mailbox_of(request), token_of(request), opening, relay)
    return Response(status_code=204)


async def reset_lock(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/reset``"""
    await restore_all_tries(mailbox_of(request), token_of(request), relay)
    return Response(status_code=204)


async def confirm_renewal(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/renew``"""
    unlock_lock = relay_json.read_unlock_token_hash(await read_body(request, SMALL_BODY_BYTES_MAX))
    await replace_unlock_token_hash(mailbox_of(request), token_of(request), unlock_lock, relay)
    return Response(status_code=204)


async def put_close_lock(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/close-lock``"""
    close_lock = relay_json.read_close_token_hash(await read_body(request, SMALL_BODY_BYTES_MAX))
    await replace_close_token_hash(mailbox_of(request), token_of(request), close_lock, relay)
    return Response(status_code=204)


async def delete_mailbox(request: Request, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}``"""
    await delete_mailbox_with_contents(mailbox_of(request), token_of(request), relay)
    return Response(status_code=204)
