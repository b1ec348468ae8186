"""Both forms in one application, to be mounted under /exchange (docs/spec/exchange.md)."""

from starlette.applications import Starlette
from starlette.routing import Mount

from entrenous.faces.exchange.access import Door
from entrenous.faces.exchange.ncmec import ncmec_app
from entrenous.faces.exchange.stopncii import stopncii_app
from entrenous.ports.exchange import Exchange


def exchange_app(exchange: Exchange) -> Starlette:
    """``/stopncii/v1/...`` and ``/ncmec/v2/...``; a partner's requests count together."""
    door = Door(exchange)
    app = Starlette(
        routes=[
            Mount("/stopncii/v1", stopncii_app(door)),
            Mount("/ncmec", ncmec_app(door)),
        ]
    )
    app.router.redirect_slashes = False  # a key is sent nowhere else
    return app
