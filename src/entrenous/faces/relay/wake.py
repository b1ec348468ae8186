"""Wake-ups without content (docs/spec/relay.md section 13)."""

import asyncio
import ipaddress
import time
from collections.abc import Coroutine
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from entrenous.carry.letters.wake import letter_comes
from entrenous.faces.relay.asking import mailbox_of, number, token_of
from entrenous.faces.relay.mailboxes import JSON
from entrenous.ports import Relay
from entrenous.spec import WAKE_S_MAX

_SOMETHING: Final = b"{}"  # the same for whatever came, from whomever
#: Whoever has to yield gives the connection back too.
_CLOSE: Final = {"connection": "close"}
_NETWORK_BYTES: Final = 8  # of an IPv6 address: one customer has all that follow


async def wait_for_letter(request: Request, relay: Relay) -> Response:
    """``GET /v1/mailboxes/{mailbox}/wake``"""
    seconds = number(request.query_params.get("seconds", str(WAKE_S_MAX)), WAKE_S_MAX)
    network = network_of(request.client.host) if request.client else b""
    waiting = letter_comes(mailbox_of(request), token_of(request), seconds, relay, network)
    began_s = time.monotonic()
    comes = waiting if relay.bell is None else _while_there(request, waiting)
    if await comes:
        return Response(_SOMETHING, media_type=JSON)
    is_early = time.monotonic() - began_s < seconds - 1
    return Response(status_code=204, headers=_CLOSE if is_early else None)


def network_of(host: str) -> bytes:
    """An IPv4 address, or the first 64 bits of an IPv6 one; b"" for anything else."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return b""
    address = getattr(address, "ipv4_mapped", None) or address
    return address.packed[:_NETWORK_BYTES]


async def _while_there(request: Request, waiting: Coroutine[Any, Any, bool]) -> bool:
    """What ``waiting`` returns. Who hangs up gives the place back at once, and not a minute later.

    Raises:
        ClientDisconnect: nobody is there who could be answered.
    """
    answer, gone = asyncio.create_task(waiting), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
