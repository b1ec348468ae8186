"""The relay's HTTP interface (docs/spec/relay.md): every address, and who answers it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from entrenous.adapters.program import this_program
from entrenous.carry.clock import SWEEP_S
from entrenous.carry.expire import forget_due
from entrenous.carry.leftovers import remove_leftovers
from entrenous.carry.mailboxes.quota import Coming
from entrenous.faces.relay import blobs, envelopes, locks, mailboxes, wake
from entrenous.faces.relay.answering import Handler, Watch, answering, refuse, unwatched
from entrenous.faces.relay.quick import Quick
from entrenous.model.relay_problem import RelayClockAhead
from entrenous.ports import Relay

_MAILBOX: Final = "/v1/mailboxes/{mailbox}"
_PREKEYS: Final = _MAILBOX + "/prekeys/{device}"

_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/v1/status", mailboxes.look_at_status),
    ("PUT", _MAILBOX, mailboxes.make_mailbox),
    ("DELETE", _MAILBOX, locks.delete_mailbox),
    ("PUT", _MAILBOX + "/close-lock", locks.put_close_lock),
    ("PUT", _MAILBOX + "/lock", locks.put_lock),
    ("POST", _MAILBOX + "/lock/evaluate", locks.evaluate_question),
    ("POST", _MAILBOX + "/lock/opened", locks.hear_opened),
    ("POST", _MAILBOX + "/lock/reset", locks.reset_lock),
    ("POST", _MAILBOX + "/lock/renew", locks.hear_renewed),
    ("GET", _MAILBOX + "/wake", wake.wait_for_letter),
    ("PUT", _MAILBOX + "/card", mailboxes.publish_card),
    ("GET", _MAILBOX + "/card", mailboxes.show_card),
    ("PUT", _PREKEYS, mailboxes.publish_prekeys),
    ("GET", _PREKEYS, mailboxes.tell_prekeys),
    ("POST", _PREKEYS + "/claim", mailboxes.hand_out_prekeys),
    ("POST", _MAILBOX + "/tokens", mailboxes.change_tokens),
    ("PUT", _MAILBOX + "/tokens/{lock}", mailboxes.grant_token),
    ("DELETE", _MAILBOX + "/tokens/{lock}", mailboxes.revoke_token),
    ("PUT", _MAILBOX + "/blobs/{blob}", blobs.put_blob),
    ("GET", _MAILBOX + "/blobs/{blob}", blobs.look_at_upload),
    ("GET", "/v1/blobs/{blob}", blobs.get_blob),
    ("PUT", _MAILBOX + "/envelopes/{envelope}", envelopes.post_envelope),
    ("GET", _MAILBOX + "/envelopes", envelopes.list_envelopes),
    ("DELETE", _MAILBOX + "/envelopes/{envelope}", envelopes.acknowledge_envelope),
    ("POST", "/v1/shares/{envelope}/open", envelopes.release_share),
    ("POST", "/v1/shares/{envelope}/finish", envelopes.finish_share),
    ("POST", "/v1/envelopes/{envelope}/withdraw", envelopes.withdraw_envelope),
    ("GET", "/v1/envelopes/{envelope}/state", envelopes.show_state),
)


def relay_app(relay: Relay, watch: Watch = unwatched) -> ASGIApp:
    """The relay as an ASGI application; it closes nothing that ``relay`` holds.

    ``watch`` is told of each answer.
    """
    this_program()  # git is asked before requests come, not while others wait
    routes = [
        Route(path, answering(handler, relay, watch), methods=[method])
        for method, path, handler in _ROUTES
    ]

    @contextlib.asynccontextmanager
    async def sweeping(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_sweep(one, relay)) for one in (forget_due, remove_leftovers)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = Starlette(
        routes=routes,
        lifespan=sweeping,
        exception_handlers={HTTPException: refuse},
    )
    app.router.redirect_slashes = False  # a token is sent nowhere else
    app.state.coming = Coming(relay.limits.coming_bytes)
    return Quick(app, relay, watch)


async def _sweep(forget: Callable[[Relay], Awaitable[None]], relay: Relay) -> None:
    """Forget what is due, every minute, whatever happened the minute before.

    Rows and bytes have a minute each of their own, for a bucket that is away takes many to say so.
    """
    while True:
        log = logging.getLogger("entrenous.relay")
        try:
            await forget(relay)
        except RelayClockAhead as why:
            said = {"event": "clock-ahead", **why.facts}
            log.warning("clock ahead by %(days)d days", said, extra={"said": said})
        except Exception as why:  # noqa: BLE001 -- the next minute tries again
            log.error(  # noqa: TRY400
                "sweep failed: %(kind)s",
                said := {"event": "sweep", "kind": type(why).__name__},
                extra={"said": said},
            )
        await asyncio.sleep(SWEEP_S)
