"""``python -m entrenous`` and the ``entrenous`` command: the place where faces are put together.

Each face stands alone; so the command line, which can start a relay or a gate, is handed their
applications from here. They are imported only when one is started.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from entrenous.faces.cli.main import Apps, run

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from entrenous.ports import Platform, Relay
    from entrenous.wiring.platform import GateTokens


def main() -> None:
    """Run the command line and leave with its exit status (ARCHITECTURE section 8)."""
    # Before NumPy is loaded: matrices here are small, and threads cost them more than they gain.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    apps: Apps = {"relay": _relay_app, "metered relay": _metered_relay, "gate": _gate_app}
    sys.exit(run(sys.argv[1:], apps))


def _relay_app(relay: Relay) -> ASGIApp:
    from entrenous.faces.relay.app import relay_app

    return relay_app(relay)


def _metered_relay(relay: Relay) -> tuple[ASGIApp, Starlette]:
    """The relay, and its figures."""
    from entrenous.faces.relay.app import relay_app
    from entrenous.faces.relay.metrics import Meters, metrics_app

    meters = Meters()
    return relay_app(relay, meters.answered), metrics_app(meters, relay)


def _gate_app(platform: Platform, tokens: GateTokens) -> Starlette:
    from entrenous.faces.gate.access import GateAccess
    from entrenous.faces.gate.app import gate_app

    return gate_app(platform, GateAccess(tokens.operator, tokens.uploader))


if __name__ == "__main__":
    main()
