"""Mailboxes, their cards, prekeys and send tokens (docs/spec/relay.md sections 1 to 3)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from entrenous.adapters.program import this_program
from entrenous.carry.mailboxes.mailbox import card_of, create_mailbox, put_card
from entrenous.carry.mailboxes.prekeys import add_prekeys, claim_prekeys, count_prekeys
from entrenous.carry.mailboxes.tokens import add_tokens, prove_owner, register_token, withdraw_token
from entrenous.carry.restore import restored_at
from entrenous.craft.wire.relay.mailbox import (
    read_batch,
    read_mailbox_locks,
    read_prekeys,
    read_send_token,
    write_bundle,
    write_held,
    write_key_count,
    write_status,
)
from entrenous.faces.relay.asking import (
    SMALL_BODY,
    body_of,
    device_of,
    is_large,
    lock_in,
    mailbox_of,
    token_of,
)
from entrenous.model.envelope import Protocol
from entrenous.ports import Relay
from entrenous.spec import (
    CARD_BYTES_MAX,
    ONE_TIME_KEYS,
    PREKEY_BYTES_MAX,
    PROTOCOL_NEWEST,
    TOKEN_BATCH_MAX,
)

JSON: Final = "application/json"
_BATCH_BODY: Final = 2 * TOKEN_BATCH_MAX * 48 + SMALL_BODY
_PREKEYS_BODY: Final = (ONE_TIME_KEYS * 2 + 2) * PREKEY_BYTES_MAX * 4 // 3 + SMALL_BODY


async def look_at_status(_: Request, relay: Relay) -> Response:
    """``GET /v1/status``"""
    protocol = Protocol(relay.limits.floor, PROTOCOL_NEWEST)
    restored = await relay.mail.look(restored_at)
    return Response(write_status(protocol, restored, this_program()), media_type=JSON)


async def make_mailbox(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}``"""
    owner_lock, close_lock = read_mailbox_locks(await body_of(request, SMALL_BODY))
    new = await create_mailbox(mailbox_of(request), owner_lock, relay, close_lock)
    return Response(status_code=201 if new else 200)


async def publish_card(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/card``"""
    card = await _owners_body(request, relay, CARD_BYTES_MAX)
    await put_card(mailbox_of(request), token_of(request), card, relay)
    return Response(status_code=204)


async def show_card(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/card``"""
    card = await card_of(mailbox_of(request), token_of(request), relay)
    return Response(card, media_type="application/cbor")


async def publish_prekeys(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/prekeys/{device}``"""
    prekeys = read_prekeys(await _owners_body(request, relay, _PREKEYS_BODY))
    mailbox, device = mailbox_of(request), device_of(request)
    count = await add_prekeys(mailbox, token_of(request), device, prekeys, relay)
    return Response(write_key_count(count), media_type=JSON)


async def tell_prekeys(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/prekeys/{device}``"""
    mailbox, device = mailbox_of(request), device_of(request)
    count = await count_prekeys(mailbox, token_of(request), device, relay)
    return Response(write_key_count(count), media_type=JSON)


async def hand_out_prekeys(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/prekeys/{device}/claim``"""
    mailbox, device = mailbox_of(request), device_of(request)
    bundle = await claim_prekeys(mailbox, token_of(request), device, relay)
    return Response(write_bundle(bundle), media_type=JSON)


async def grant_token(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/tokens/{lock}``"""
    granted = read_send_token(await body_of(request, SMALL_BODY), lock_in(request))
    new = await register_token(mailbox_of(request), token_of(request), granted, relay)
    return Response(status_code=201 if new else 200)


async def change_tokens(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/tokens``"""
    batch = read_batch(await _owners_body(request, relay, _BATCH_BODY))
    held = await add_tokens(mailbox_of(request), token_of(request), batch, relay)
    return Response(write_held(held), media_type=JSON)


async def revoke_token(request: Request, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}/tokens/{lock}``"""
    await withdraw_token(mailbox_of(request), token_of(request), lock_in(request), relay)
    return Response(status_code=204)


async def _owners_body(request: Request, relay: Relay, limit: int) -> bytes:
    """The whole body; of a large one nothing is read that its sender may not send."""
    mailbox, token = mailbox_of(request), token_of(request)
    if is_large(request):
        await prove_owner(mailbox, token, relay)
    return await body_of(request, limit)
