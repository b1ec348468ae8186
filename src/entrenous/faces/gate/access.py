"""Who asks, and how much they may ask for."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from starlette.requests import Request

from entrenous.craft.wire.b64u import unb64u
from entrenous.model.bank import GateBusy
from entrenous.model.errors import Unproven
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.secret import Secret
from entrenous.spec import HOLDER_TOKEN_BYTES, UPLOAD_BYTES_MAX

CLIENTS_MAX: Final = 10_000  # counted at once; beyond, the hour begins anew for everybody


class Role(StrEnum):
    """What a token makes of the one who shows it."""

    OPERATOR = "operator"  # the platform's own server or staff: sees why
    UPLOADER = "uploader"  # a person's browser: sees what happens to the upload, and no more


@dataclass(frozen=True, slots=True)
class GateAccess:
    """Tokens, as the text that is shown, and limits. Without ``uploader`` only the operator may
    bring uploads.
    """

    operator: Secret
    uploader: Secret | None = None
    upload_bytes_max: int = UPLOAD_BYTES_MAX
    uploads_at_once: int = 8
    claims_per_hour: int = 20
    appeal_url: str = ""


class WrongToken(Unproven):
    """
    This needs a token that you did not show: "Authorization: Bearer ...". The gate keeps its tokens
    in the folder of its database.
    """


def role_of(request: Request, access: GateAccess) -> Role:
    """Operator or uploader; raises WrongToken. Compared in constant time."""
    shown = bearer(request)
    if hmac.compare_digest(shown, access.operator.reveal()):
        return Role.OPERATOR
    if access.uploader is not None and hmac.compare_digest(shown, access.uploader.reveal()):
        return Role.UPLOADER
    raise WrongToken


def require_operator(request: Request, access: GateAccess) -> None:
    """Raises WrongToken unless the operator asks."""
    if role_of(request, access) is not Role.OPERATOR:
        raise WrongToken


def bearer(request: Request) -> bytes:
    """The token that was shown, as the text that it was sent as; empty when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def holder_token(request: Request) -> Secret:
    """A claim holder's token: 32 bytes in base64 for addresses; raises WrongToken."""
    try:
        return Secret(unb64u(bearer(request).decode("latin-1"), HOLDER_TOKEN_BYTES))
    except NotUnderstood as problem:
        raise WrongToken from problem


@dataclass(slots=True)
class HourlyLimit:
    """Counts per client and clock hour, in memory: a restart forgets, an hour forgets."""

    per_hour: int
    hour: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, client: str, now: datetime) -> None:
        """One more of that client; raises GateBusy above the limit."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour or len(self.counts) >= CLIENTS_MAX:
            self.hour = hour
            self.counts.clear()
        self.counts[client] = self.counts.get(client, 0) + 1
        if self.counts[client] > self.per_hour:
            raise GateBusy
