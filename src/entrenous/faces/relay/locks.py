"""Locks of devices, and the end of a mailbox (docs/spec/relay.md sections 2 and 10)."""

from starlette.requests import Request
from starlette.responses import Response

from entrenous.carry.mailboxes.close import close_mailbox, set_close_lock
from entrenous.carry.mailboxes.lock import (
    allow_more_tries,
    answer,
    make_lock,
    note_opened,
    renew_lock,
)
from entrenous.craft.wire.relay.lock import (
    read_close_lock,
    read_opened,
    read_question,
    read_unlock_lock,
    write_answer,
)
from entrenous.faces.relay.asking import SMALL_BODY, body_of, mailbox_of, token_of
from entrenous.faces.relay.mailboxes import JSON
from entrenous.ports import Relay


async def put_lock(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/lock``"""
    unlock_lock = read_unlock_lock(await body_of(request, SMALL_BODY))
    new = await make_lock(mailbox_of(request), token_of(request), unlock_lock, relay)
    return Response(status_code=201 if new else 200)


async def evaluate_question(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/evaluate``"""
    blinded = read_question(await body_of(request, SMALL_BODY))
    answered = await answer(mailbox_of(request), token_of(request), blinded, relay)
    return Response(write_answer(answered), media_type=JSON)


async def hear_opened(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/opened``"""
    opening = read_opened(await body_of(request, SMALL_BODY))
    await note_opened(mailbox_of(request), token_of(request), opening, relay)
    return Response(status_code=204)


async def reset_lock(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/reset``"""
    await allow_more_tries(mailbox_of(request), token_of(request), relay)
    return Response(status_code=204)


async def hear_renewed(request: Request, relay: Relay) -> Response:
    """``POST /v1/mailboxes/{mailbox}/lock/renew``"""
    unlock_lock = read_unlock_lock(await body_of(request, SMALL_BODY))
    await renew_lock(mailbox_of(request), token_of(request), unlock_lock, relay)
    return Response(status_code=204)


async def put_close_lock(request: Request, relay: Relay) -> Response:
    """``PUT /v1/mailboxes/{mailbox}/close-lock``"""
    close_lock = read_close_lock(await body_of(request, SMALL_BODY))
    await set_close_lock(mailbox_of(request), token_of(request), close_lock, relay)
    return Response(status_code=204)


async def delete_mailbox(request: Request, relay: Relay) -> Response:
    """``DELETE /v1/mailboxes/{mailbox}``"""
    await close_mailbox(mailbox_of(request), token_of(request), relay)
    return Response(status_code=204)
