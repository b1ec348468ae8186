"""``python -m entrenous`` and the ``entrenous`` program: the one module that knows all features.

The feature packages (send, carry, trace, stop, ...) do not import each other. From here, the
command line gets the applications that it can start; each is imported only when it is started.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from entrenous.base.environment import hide_memory
from entrenous.cli import run
from entrenous.terminal.session import FeatureFunctions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from entrenous.carry.relay import Relay
    from entrenous.device.device import Device
    from entrenous.stop.client.gate_answer import ClientSettings
    from entrenous.stop.gate_settings import GateHttpSettings
    from entrenous.stop.judge.judge_pool import JudgePool
    from entrenous.stop.platform import Platform
    from entrenous.stop.store.open_gate import GateTokens


def main() -> None:
    """Run the command line and exit with its status."""
    # Do not import httpx's command line, which triples the time to import httpx.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    # must run before anything secret is read; docs/decisions/0040-no-dump-of-any-program.md
    hide_memory()
    # This must be set before NumPy is loaded. Our matrices are small, and threads only slow down
    # computing with them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:], FEATURE_FUNCTIONS))


def _relay_app(relay: Relay) -> ASGIApp:
    from entrenous.carry.http.relay_app import relay_app

    return relay_app(relay)


def _relay_and_metrics_apps(relay: Relay) -> tuple[ASGIApp, Starlette]:
    """Return the relay's application, and the application that serves the relay's metrics."""
    from entrenous.carry.http.metrics import RelayMetrics, metrics_app
    from entrenous.carry.http.relay_app import relay_app

    meters = RelayMetrics()
    return relay_app(relay, meters.count_response), metrics_app(meters, relay)


def _gate_app(
    platform: Platform,
    tokens: GateTokens,
    judges: JudgePool | None = None,
    http_settings: GateHttpSettings | None = None,
) -> Starlette:
    """Return the gate's application. The exchange with partners (docs/spec/exchange.md) is below
    /exchange; below /hma, the gate's banks can be used in the format of Meta's HMA
    (docs/spec/hma.md).
    """
    from entrenous.connectors.exchange.exchange_access import PartnerAuth
    from entrenous.connectors.exchange.exchange_app import exchange_app
    from entrenous.connectors.hma_app import hma_app
    from entrenous.stop.exchange_serving import update_exchange_state
    from entrenous.stop.gate_settings import GateHttpSettings
    from entrenous.stop.http.access import ForwardedAddressMiddleware, GateAccess
    from entrenous.stop.http.gate_app import BackgroundTasks, gate_app
    from entrenous.stop.register import relist_due_claims
    from entrenous.stop.store.gate_figures import make_figures_counter
    from entrenous.stop.store.open_gate import claim_listing_store, open_exchange

    http_settings = http_settings or GateHttpSettings()
    access = GateAccess(
        tokens.operator,
        tokens.uploader,
        tokens.metrics,
        appeal_url=http_settings.appeal_url,
        uploads_per_account=http_settings.uploads_per_account,
        refused_per_account=http_settings.refused_per_account,
    )
    exchange, listings = open_exchange(platform), claim_listing_store(platform)
    partner_auth = PartnerAuth(exchange)
    chores = BackgroundTasks(
        (partial(update_exchange_state, exchange),),
        (partial(relist_due_claims, platform, listings), partner_auth.forget_clients),
    )
    app = gate_app(
        platform, access, chores, count_rows=make_figures_counter(platform), judges=judges
    )
    app.mount("/exchange", exchange_app(partner_auth))
    app.mount("/hma", hma_app(platform, access, listings, exchange.sources))
    if http_settings.trusted_proxies:
        app.add_middleware(ForwardedAddressMiddleware, trusted=http_settings.trusted_proxies)
    return app


def _gate_proxy(
    upstream: str, setting: ClientSettings, paths: Sequence[str], on_hold: str, account_header: str
) -> ASGIApp:
    """Return a reverse proxy that asks a gate about uploads."""
    from entrenous.connectors.reverse_proxy import proxy_app

    return proxy_app(upstream, setting, paths=paths, on_hold=on_hold, account_header=account_header)


def _received_files(message: str, device: Device) -> Iterator[bytes]:
    """Yield a received message's files. This does not count as an opening.

    Openings may be limited in number, and the sender is notified of them.

    Raises:
        UnknownMessage: no message has that name.
        FilesNotOnDevice: its files are not in the vault.
    """
    from entrenous.send.inbox import find_received_message
    from entrenous.send.open import open_message
    from entrenous.stop.registration import FilesNotOnDevice

    if find_received_message(message, device).key is None:
        raise FilesNotOnDevice(name=message)
    for file in open_message(message, device).files:
        yield file.data


#: Functions that commands get by name: each makes an application to serve, or does work that
#: belongs to another feature package.
FEATURE_FUNCTIONS: Final[FeatureFunctions] = {
    "relay": _relay_app,
    "metered relay": _relay_and_metrics_apps,
    "gate": _gate_app,
    "gate proxy": _gate_proxy,
    "received files": _received_files,
}


if __name__ == "__main__":
    main()
