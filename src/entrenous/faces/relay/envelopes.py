"""Envelopes and shares: post, hand over, open, finish, take back (relay.md sections 5 to 7)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from entrenous.carry.letters.accept import accept, prove_sender
from entrenous.carry.letters.hand_over import acknowledge, waiting
from entrenous.carry.letters.withdraw import look_after, withdraw
from entrenous.carry.release import finish, open_share
from entrenous.craft.wire.relay.envelope import (
    read_attempt,
    read_envelope,
    write_look,
    write_share,
    write_waiting,
)
from entrenous.faces.relay.answering import Said
from entrenous.faces.relay.asking import (
    SMALL_BODY,
    Asking,
    body_of,
    envelope_of,
    is_large,
    mailbox_of,
    number,
    token_of,
)
from entrenous.faces.relay.mailboxes import JSON
from entrenous.ports import Relay
from entrenous.spec import PAGE_MAX, SEALED_BYTES_MAX

_ENVELOPE_BODY: Final = 2 * SEALED_BYTES_MAX  # b64u takes a third more, the other members 4 KiB
_SEQUENCE_MAX: Final = 2**53 - 1


async def post_envelope(request: Asking, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/envelopes/{envelope}``"""
    name, mailbox, token = envelope_of(request), mailbox_of(request), token_of(request)
    if is_large(request):
        await prove_sender(name, mailbox, token, relay)
    envelope = read_envelope(await body_of(request, _ENVELOPE_BODY), name, mailbox)
    new = await accept(envelope, token, relay)
    return Said(201 if new else 200)


async def list_envelopes(request: Asking, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/envelopes``"""
    after = number(request.query_params.get("after", "0"), _SEQUENCE_MAX)
    limit = number(request.query_params.get("limit", str(PAGE_MAX)), _SEQUENCE_MAX)
    page = await waiting(mailbox_of(request), token_of(request), after, limit, relay)
    return Said(200, write_waiting(page), JSON)


async def acknowledge_envelope(request: Asking, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}/envelopes/{envelope}``"""
    await acknowledge(mailbox_of(request), token_of(request), envelope_of(request), relay)
    return Said(204)


async def release_share(request: Request, relay: Relay) -> Response:
    """``POST /v1/shares/{envelope}/open``"""
    attempt = read_attempt(await body_of(request, SMALL_BODY))
    share = await open_share(envelope_of(request), token_of(request), attempt, relay)
    return Response(write_share(share), media_type=JSON)


async def finish_share(request: Request, relay: Relay) -> Response:
    """``POST /v1/shares/{envelope}/finish``"""
    attempt = read_attempt(await body_of(request, SMALL_BODY))
    await finish(envelope_of(request), token_of(request), attempt, relay)
    return Response(status_code=204)


async def withdraw_envelope(request: Request, relay: Relay) -> Response:
    """``POST /v1/envelopes/{envelope}/withdraw``"""
    status = await withdraw(envelope_of(request), token_of(request), relay)
    return Response(write_look(status), media_type=JSON)


async def show_state(request: Request, relay: Relay) -> Response:
    """``GET /v1/envelopes/{envelope}/state``"""
    status = await look_after(envelope_of(request), token_of(request), relay)
    return Response(write_look(status), media_type=JSON)
