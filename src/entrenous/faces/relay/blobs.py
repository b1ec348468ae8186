"""Blobs: brought as a stream, fetched whole or in ranges (docs/spec/relay.md section 4)."""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from entrenous.carry.hold import bring_blob, find_blob, how_much_came
from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.relay.upload import write_upload
from entrenous.faces.relay.asking import blob_of, chunks_of, mailbox_of, number, token_of
from entrenous.faces.relay.mailboxes import JSON
from entrenous.faces.relay.pace import at_pace
from entrenous.faces.relay.ranges import Beyond, range_of
from entrenous.model.envelope import BlobDeposit
from entrenous.model.relay_problem import NotUnderstood, TooLarge
from entrenous.ports import Relay
from entrenous.spec import BLOB_BYTES_MAX, LOCK_BYTES

_HASH_BYTES: Final = 32
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_LENGTH_MAX: Final = 2**63 - 1


async def put_blob(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/blobs/{blob}``"""
    start = number(request.headers.get("entrenous-offset", "0"), BLOB_BYTES_MAX)
    deposit, token = _deposit(request, start), token_of(request)
    chunks = at_pace(chunks_of(request, BLOB_BYTES_MAX))
    with request.app.state.coming.of(lock_of(token), deposit.size - start):
        new = await bring_blob(deposit, token, chunks, relay, start)
    return Response(status_code=201 if new else 200)


async def look_at_upload(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/blobs/{blob}``: how much of it came; the sender's look."""
    came, size = await how_much_came(blob_of(request), token_of(request), relay)
    return Response(write_upload(came, size), media_type=JSON)


async def get_blob(request: Request, relay: Relay) -> Response:
    """``GET /v1/blobs/{blob}``, with ranges (RFC 9110 section 14); never counts, never consumes."""
    held = await find_blob(blob_of(request), token_of(request), relay)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{b64u(held.sha256)}"'}
    try:
        part = range_of(request.headers, held.size, headers["ETag"])
    except Beyond:
        headers["Content-Range"] = f"bytes */{held.size}"
        return Response(status_code=416, headers=headers)
    start, stop = part or (0, held.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{held.size}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        stop = start  # the server sends no body then, so nothing is read for one
    chunks = await relay.blobs.read(held.name, start, stop)
    kind = "application/octet-stream"
    return StreamingResponse(chunks, 206 if part else 200, headers, media_type=kind)


def _deposit(request: Request, start: int) -> BlobDeposit:
    """What is announced; the body is its rest from ``start`` on."""
    asked = request.headers
    try:
        length = number(asked["content-length"], _LENGTH_MAX)
        seconds = number(asked["entrenous-expires-at"], _LAST_SECOND)
        fetch, withdraw = asked["entrenous-fetch-lock"], asked["entrenous-withdraw-lock"]
        sha256 = unb64u(asked["entrenous-sha256"], _HASH_BYTES)
    except KeyError:
        raise NotUnderstood from None
    size = start + length
    if not size:
        raise NotUnderstood
    if size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    locks = (unb64u(fetch, LOCK_BYTES), unb64u(withdraw, LOCK_BYTES))
    expires_at = datetime.fromtimestamp(seconds, UTC)
    return BlobDeposit(blob_of(request), mailbox_of(request), size, sha256, *locks, expires_at)
