"""The relay's HTTP interface (docs/spec/relay.md): every address, and who answers it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from entrenous.carry.expire import expire
from entrenous.faces.relay import blobs, envelopes, mailboxes
from entrenous.faces.relay.answering import Handler, answering, refuse
from entrenous.ports import Relay

_MAILBOX: Final = "/v1/mailboxes/{mailbox}"
_PREKEYS: Final = _MAILBOX + "/prekeys/{device}"
_SWEEP_S: Final = 60  # how often what is due is forgotten

_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/v1/status", mailboxes.look_at_status),
    ("PUT", _MAILBOX, mailboxes.make_mailbox),
    ("PUT", _MAILBOX + "/card", mailboxes.publish_card),
    ("GET", _MAILBOX + "/card", mailboxes.show_card),
    ("PUT", _PREKEYS, mailboxes.publish_prekeys),
    ("GET", _PREKEYS, mailboxes.tell_prekeys),
    ("POST", _PREKEYS + "/claim", mailboxes.hand_out_prekeys),
    ("PUT", _MAILBOX + "/tokens/{lock}", mailboxes.grant_token),
    ("DELETE", _MAILBOX + "/tokens/{lock}", mailboxes.revoke_token),
    ("PUT", _MAILBOX + "/blobs/{blob}", blobs.put_blob),
    ("GET", "/v1/blobs/{blob}", blobs.get_blob),
    ("PUT", _MAILBOX + "/envelopes/{envelope}", envelopes.post_envelope),
    ("GET", _MAILBOX + "/envelopes", envelopes.list_envelopes),
    ("DELETE", _MAILBOX + "/envelopes/{envelope}", envelopes.acknowledge_envelope),
    ("POST", "/v1/shares/{envelope}/open", envelopes.release_share),
    ("POST", "/v1/shares/{envelope}/finish", envelopes.finish_share),
    ("POST", "/v1/envelopes/{envelope}/withdraw", envelopes.withdraw_envelope),
    ("GET", "/v1/envelopes/{envelope}/state", envelopes.show_state),
)


def relay_app(relay: Relay) -> Starlette:
    """The relay as an ASGI application; it closes nothing that ``relay`` holds."""
    routes = [
        Route(path, answering(handler, relay), methods=[method])
        for method, path, handler in _ROUTES
    ]

    @contextlib.asynccontextmanager
    async def sweeping(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep(relay))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return Starlette(routes=routes, lifespan=sweeping, exception_handlers={HTTPException: refuse})


async def _sweep(relay: Relay) -> None:
    """Forget what is due, every minute, whatever happened the minute before."""
    while True:
        try:
            await expire(relay)
        except Exception as why:  # noqa: BLE001 -- the next minute tries again
            logging.getLogger("entrenous.relay").error("sweep failed: %s", type(why).__name__)  # noqa: TRY400
        await asyncio.sleep(_SWEEP_S)
