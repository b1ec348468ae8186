"""Who asks, and how much they may ask for."""

import hmac
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.craft.wire.b64u import unb64u
from entrenous.faces.gate.names import case_in
from entrenous.model.decision import Publishes
from entrenous.model.errors import Malformed, Unproven
from entrenous.model.gate import GateBusy
from entrenous.model.gate_front import GateFront
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.review import NoSuchReview
from entrenous.model.reviewer import OPERATOR
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.spec import HOLDER_TOKEN_BYTES, UPLOAD_BYTES_MAX
from entrenous.stop.gate import SECRET_BYTES
from entrenous.stop.reviewers import reviewer_with

# Of an IPv6 address: whoever has one has all that begin like it. A household is given a /64, often
# a /56, a site a /48; of the wider ones so many times as much is taken.
_HOUSEHOLDS: Final = ((64, 1), (56, 2), (48, 10))
_HOUR_S: Final = 3600
PUBLISHES_HEADER: Final = "Entrenous-Publishes"


class Role(StrEnum):
    """What a token makes of the one who shows it."""

    OPERATOR = "operator"  # the platform's own server or staff: sees why
    UPLOADER = "uploader"  # a person's browser: sees what happens to the upload, and no more


@dataclass(frozen=True, slots=True)
class GateAccess:
    """Tokens, as the text that is shown, and limits. Without ``uploader`` only the operator may
    bring uploads; who shows ``metrics`` may read the figures, and nothing else.
    """

    operator: Secret
    uploader: Secret | None = None
    metrics: Secret | None = None
    upload_bytes_max: int = UPLOAD_BYTES_MAX
    uploads_at_once: int = 8
    appeal_url: str = ""
    uploads_per_account: int = GateFront().uploads_per_account
    refused_per_account: int = GateFront().refused_per_account


class BadPublishes(Malformed):
    """
    The header Entrenous-Publishes is "held" or "all", or left out. Nothing was looked at.
    """


class WrongToken(Unproven):
    """
    This needs a token that you did not show: "Authorization: Bearer ...". The gate keeps its tokens
    in the folder of its database.
    """


def role_of(request: Request, access: GateAccess) -> Role:
    """Operator or uploader; raises WrongToken. Compared in constant time."""
    if is_operator(request, access):
        return Role.OPERATOR
    if _shows(request, access.uploader):
        return Role.UPLOADER
    raise WrongToken


def publishes_of(request: Request, role: Role) -> Publishes:
    """What the platform publishes whatever the gate says; an uploader's word is not looked at.

    Raises BadPublishes.
    """
    said = request.headers.get(PUBLISHES_HEADER)
    if said is None or role is not Role.OPERATOR:
        return Publishes.NOTHING
    if said not in (Publishes.HELD, Publishes.ALL):
        raise BadPublishes
    return Publishes(said)


def is_operator(request: Request, access: GateAccess) -> bool:
    """Whether the operator asks; a wrong token is no error here."""
    return _shows(request, access.operator)


def require_operator(request: Request, access: GateAccess) -> None:
    """Raises WrongToken unless the operator asks."""
    if not is_operator(request, access):
        raise WrongToken


async def require_reviewer(request: Request, access: GateAccess, platform: Platform) -> str:
    """Who decides: the operator, or the reviewer whose token it is; raises WrongToken."""
    if is_operator(request, access):
        return OPERATOR
    name = await run_in_threadpool(reviewer_with, bearer(request), platform)
    if name is None:
        raise WrongToken
    return name


def require_figures(request: Request, access: GateAccess) -> None:
    """Raises WrongToken unless the operator asks, or who may read the figures."""
    if not (is_operator(request, access) or _shows(request, access.metrics)):
        raise WrongToken


def _shows(request: Request, token: Secret | None) -> bool:
    return token is not None and hmac.compare_digest(bearer(request), token.reveal())


def bearer(request: Request) -> bytes:
    """The token that was shown, as the text that it was sent as; empty when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def holder_token(request: Request) -> Secret:
    """A claim holder's token: 32 bytes in base64 for addresses; raises WrongToken."""
    return _secret(request, HOLDER_TOKEN_BYTES)


def appeal_secret(request: Request) -> Secret:
    """What came with a decision: 16 bytes in base64 for addresses.

    Raises:
        WrongToken: none was shown.
        NoSuchReview: what was shown opens no case, as it is not in this form.
    """
    try:
        return _secret(request, SECRET_BYTES)
    except WrongToken:
        if bearer(request):
            raise NoSuchReview(case=case_in(request)) from None
        raise


def _secret(request: Request, size: int) -> Secret:
    try:
        return Secret(unb64u(bearer(request).decode("latin-1"), size))
    except NotUnderstood as problem:
        raise WrongToken from problem


def households(client: str) -> tuple[tuple[str, int], ...]:
    """Whose claims are counted together, and how many times a household's limit they have: an IPv4
    address, or the networks of an IPv6 one, the smallest first.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ((client, 1),)
    if address.version == 4:
        return ((client, 1),)
    if address.ipv4_mapped:
        return ((str(address.ipv4_mapped), 1),)
    return tuple((_network(address, bits), times) for bits, times in _HOUSEHOLDS)


def _network(address: ipaddress.IPv6Address, bits: int) -> str:
    rest = address.max_prefixlen - bits
    return str(ipaddress.ip_network((int(address) >> rest << rest, bits)))


@dataclass(slots=True)
class HourlyLimit:
    """Counts per household and of all in a clock hour, in memory: a restart forgets, an hour
    forgets.

    What is refused for its own household's sake is not counted for everybody. As ``of_all`` are
    counted at most, no more addresses than that are kept in mind, each with its networks.
    """

    per_hour: int
    of_all: int
    hour: datetime | None = None
    every: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, client: str, now: datetime) -> None:
        """One more of that address; above a limit raises GateBusy, with the seconds to the next
        hour.
        """
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.hour, self.every = hour, 0
            self.counts.clear()
        counted = households(client)
        if self.every >= self.of_all or any(self._is_full(*one) for one in counted):
            raise GateBusy(retry_after_s=_HOUR_S - int((now - hour).total_seconds()))
        self.every += 1
        for name, _ in counted:
            self.counts[name] = self.counts.get(name, 0) + 1

    def _is_full(self, name: str, times: int) -> bool:
        return self.counts.get(name, 0) >= times * self.per_hour
