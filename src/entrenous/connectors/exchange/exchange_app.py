"""Both exchange APIs in one application, to be mounted at /exchange (docs/spec/exchange.md)."""

from starlette.applications import Starlette
from starlette.routing import Mount

from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.serve_ncmec import ncmec_app
from entrenous.connectors.exchange.serve_stopncii import stopncii_app


def exchange_app(auth: PartnerAuth) -> Starlette:
    """Serve ``/stopncii/v1/...`` and ``/ncmec/v2/...``, with one rate limit per partner."""
    app = Starlette(
        routes=[
            Mount("/stopncii/v1", stopncii_app(auth)),
            Mount("/ncmec", ncmec_app(auth)),
        ]
    )
    app.router.redirect_slashes = False  # a redirect could send the key elsewhere
    return app
