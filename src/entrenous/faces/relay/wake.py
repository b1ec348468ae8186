"""Wake-ups without content (docs/spec/relay.md section 13)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from entrenous.carry.letters.wake import letter_comes
from entrenous.faces.relay.asking import mailbox_of, number, token_of
from entrenous.faces.relay.mailboxes import JSON
from entrenous.ports import Relay
from entrenous.spec import WAKE_S_MAX

_SOMETHING: Final = b"{}"  # the same for whatever came, from whomever


async def wait_for_letter(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/wake``"""
    seconds = number(request.query_params.get("seconds", str(WAKE_S_MAX)), WAKE_S_MAX)
    if await letter_comes(mailbox_of(request), token_of(request), seconds, relay):
        return Response(_SOMETHING, media_type=JSON)
    return Response(status_code=204)
