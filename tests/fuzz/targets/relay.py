"""Targets for the relay's HTTP interface: bodies, ranges, headers and queries."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Message

from entrenous.base.errors import Malformed, TooLarge, WrongToken
from entrenous.base.identifiers import BlobId
from entrenous.base.limits import BLOB_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import FastPathRequest
from entrenous.carry.http.request_handling import blob_of, mailbox_of, parse_number, token_of
from entrenous.carry.http.routes import RangeNotSatisfiable, _parse_blob_deposit, parse_byte_range
from entrenous.wire import relay_json
from entrenous.wire.relay_nouns import (
    Envelope,
    EnvelopeState,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    ProtocolVersions,
    SendToken,
    SendTokenChanges,
    ShareDeposit,
    UnlockAnswer,
    VaultUnlock,
    WaitingEnvelope,
)
from tests.fuzz.mutate import change_json
from tests.fuzz.seeds import DEVICE, DIGEST, ENVELOPE, MAILBOX, NOON
from tests.fuzz.target import Target, property_check, round_trip

_BLOB_SIZE: Final = 1000
_ETAG: Final = '"etag"'
_SHARE_DEPOSIT: Final = ShareDeposit(Secret(b"s" * 32), b"o" * 32, 1, b"g" * 16)


def _body_target(
    name: str, read: Callable[[bytes], Any], write: Callable[[Any], bytes], *values: Any
) -> Target:
    """Return a target for a JSON body. A round trip may change whitespace and key order."""
    return Target(
        f"relay-{name}",
        round_trip(read, write),
        lambda: [write(value) for value in values],
        change_json,
        input_bytes_max=2048,
    )


_BODY_TARGETS: Final = (
    _body_target(
        "mailbox-locks",
        relay_json.read_mailbox_token_hashes,
        lambda locks: relay_json.write_mailbox_token_hashes(*locks),
        *((DIGEST, None), (DIGEST, DIGEST)),
    ),
    _body_target(
        "unlock-lock", relay_json.read_unlock_token_hash, relay_json.write_unlock_token_hash, DIGEST
    ),
    _body_target(
        "close-lock", relay_json.read_close_token_hash, relay_json.write_close_token_hash, DIGEST
    ),
    _body_target(
        "question", relay_json.read_blinded_element, relay_json.write_blinded_element, DIGEST
    ),
    _body_target(
        "answer",
        relay_json.read_unlock_answer,
        relay_json.write_unlock_answer,
        UnlockAnswer(DIGEST, 9),
    ),
    _body_target(
        "opened",
        relay_json.read_vault_unlock,
        relay_json.write_vault_unlock,
        VaultUnlock(3, b"n" * 16, (b"b" * 16,)),
    ),
    _body_target(
        "prekeys",
        relay_json.read_prekeys,
        relay_json.write_prekeys,
        *(Prekeys((b"one", b"two"), b"fallback", b"xwing"), Prekeys((), b"fallback", b"xwing")),
    ),
    _body_target(
        "key-count", relay_json.read_one_time_key_count, relay_json.write_one_time_key_count, 0, 50
    ),
    _body_target(
        "bundle",
        partial(relay_json.read_prekey_bundle, device=DEVICE),
        relay_json.write_prekey_bundle,
        PrekeyBundle(DEVICE, None, b"fallback", b"xwing"),
    ),
    _body_target(
        "send-token",
        partial(relay_json.read_send_token, lock=DIGEST),
        relay_json.write_send_token,
        *(SendToken(DIGEST, 1, NOON), SendToken(DIGEST, None, None)),
    ),
    _body_target(
        "token-batch",
        relay_json.read_send_token_changes,
        relay_json.write_send_token_changes,
        SendTokenChanges((DIGEST, b"M" * 32), (b"N" * 32,), NOON),
    ),
    _body_target(
        "tokens-held", relay_json.read_send_token_count, relay_json.write_send_token_count, 64
    ),
    _body_target(
        "status",
        relay_json.read_relay_status,
        lambda status: relay_json.write_relay_status(*status),
        *((ProtocolVersions(2, 2), None), (ProtocolVersions(1, 2), NOON)),
    ),
    _body_target(
        "envelope",
        partial(relay_json.read_envelope, envelope=ENVELOPE, mailbox=MAILBOX),
        relay_json.write_envelope,
        Envelope(ENVELOPE, MAILBOX, b"sealed", NOON, DIGEST, None, ()),
        Envelope(ENVELOPE, MAILBOX, b"sealed", NOON, DIGEST, _SHARE_DEPOSIT, (BlobId(b"0" * 16),)),
    ),
    _body_target(
        "page",
        relay_json.read_waiting_envelopes,
        relay_json.write_waiting_envelopes,
        *([], [WaitingEnvelope(ENVELOPE, 7, b"sealed", NOON)]),
    ),
    _body_target(
        "attempt", relay_json.read_opening_attempt, relay_json.write_opening_attempt, b"a" * 16
    ),
    _body_target(
        "share", relay_json.read_released_share, relay_json.write_released_share, Secret(b"s" * 32)
    ),
    _body_target(
        "look",
        relay_json.read_envelope_status,
        relay_json.write_envelope_status,
        *(EnvelopeStatus(state, 1, NOON, None) for state in EnvelopeState),
    ),
    _body_target(
        "upload",
        relay_json.read_upload_progress,
        lambda status: relay_json.write_upload_progress(*status),
        (7, 4096),
    ),
)


def _parse_range(untrusted: bytes) -> tuple[int, int] | None:
    """Parse a ``Range`` header and, after a line end, an ``If-Range`` header."""
    range_header, newline, if_range_header = untrusted.decode("latin-1").partition("\n")
    headers = {"range": range_header} | ({"if-range": if_range_header} if newline else {})
    return parse_byte_range(headers, _BLOB_SIZE, _ETAG)


def _is_valid_range(part: tuple[int, int] | None) -> bool:
    return part is None or 0 <= part[0] < part[1] <= _BLOB_SIZE


def _parse_blob_put(untrusted: bytes) -> None:
    """Parse the ``PUT`` of a blob: two ids in the first line, then one header per line."""
    lines = [line.partition(b":") for line in untrusted.split(b"\n")]
    box, blob = (lines[0][0], lines[0][2]) if lines else (b"", b"")
    names = {"mailbox": box.decode("latin-1"), "blob": blob.decode("latin-1")}
    headers = [(name.lower(), value.strip()) for name, _, value in lines[1:]]
    request = Request({"type": "http", "headers": headers, "path_params": names})
    token_of(request)
    start = parse_number(request.headers.get("entrenous-offset", "0"), BLOB_BYTES_MAX)
    deposit = _parse_blob_deposit(request, start)
    if not 0 < deposit.size <= BLOB_BYTES_MAX:
        raise AssertionError(deposit.size)
    if (deposit.mailbox, deposit.id) != (mailbox_of(request), blob_of(request)):
        raise AssertionError(names)


def _is_read_like_starlette(untrusted: bytes) -> bool:
    """Return whether FastPathRequest reads a query (first line) and headers as Starlette does."""
    query, *lines = untrusted.split(b"\n")
    pairs = (line.partition(b":") for line in lines)
    headers = [(name.lower(), value.strip()) for name, _, value in pairs]
    scope = {"type": "http", "query_string": query, "headers": headers}
    fast_request, usual_request = FastPathRequest(scope, _receive_disconnect, {}), Request(scope)
    names = {name.decode() for name, _ in headers if name.isascii()}  # servers reject other names
    same = all(fast_request.headers.get(name) == usual_request.headers.get(name) for name in names)
    return same and dict(fast_request.query_params) == dict(usual_request.query_params)


async def _receive_disconnect() -> Message:
    return {"type": "http.disconnect"}


_BLOB_PUT: Final = b"""TU1NTU1NTU1NTU1NTU1NTQ:MDAwMDAwMDAwMDAwMDAwMA
authorization: Bearer TExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEw
content-length: 4096
entrenous-offset: 0
entrenous-expires-at: 1795953600
entrenous-fetch-lock: TExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEw
entrenous-withdraw-lock: TExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEw
entrenous-sha256: TExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEw"""

TARGETS: Final = (
    *_BODY_TARGETS,
    Target(
        "range",
        property_check(_parse_range, _is_valid_range, (RangeNotSatisfiable,)),
        lambda: [
            *(b"bytes=0-499", b"bytes=-1", b"bytes=500-", b"bytes=1-1", b"bytes=999-99999"),
            *(b'bytes=0-1\n"etag"', b'bytes=0-1\n"other"', b"bytes=-0", b"bytes=0-1,4-5"),
        ],
        input_bytes_max=128,
    ),
    Target(
        "quick-request",
        property_check(_is_read_like_starlette, bool),
        lambda: [
            b"after=12&limit=5\nauthorization: Bearer A\nauthorization: Bearer B",
            *(b"a=%41&b=+&a=2", b"a&b==&&=c", b""),
        ],
        input_bytes_max=256,
    ),
    Target(
        "upload-headers",
        property_check(_parse_blob_put, lambda _: True, (Malformed, WrongToken, TooLarge)),
        lambda: [_BLOB_PUT, _BLOB_PUT.replace(b"offset: 0", b"offset: 4294967295")],
        input_bytes_max=1024,
    ),
)
