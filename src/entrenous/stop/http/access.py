"""Who asks, from which address, and how much they may ask for (docs/spec/gate.md, 6).

Where proxies stand in between, the client's address is the one that they forward (6.2). One account
may bring a limited number of uploads in an hour, so that nobody can probe who is registered. Names
of registrations and cases in addresses are read here too.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send

from entrenous.base.errors import Malformed, NotUnderstood, Unproven, Unreachable
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import HOLDER_TOKEN_BYTES, UPLOAD_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.stop.gate_settings import GateFront, Network
from entrenous.stop.judge.decide import SECRET_BYTES
from entrenous.stop.nouns import GateBusy
from entrenous.stop.platform import Platform
from entrenous.stop.registration import NoSuchClaim
from entrenous.stop.review import reviewer_with
from entrenous.stop.upload_record import OPERATOR, NoSuchReview, Publishes
from entrenous.wire.encodings import from_base64url

_CHARS_MAX: Final = 64


def claim_in(request: Request) -> ClaimId:
    """The claim that the address names; raises NoSuchClaim."""
    name = request.path_params["claim"]
    if not _may_be(name):
        raise NoSuchClaim(claim="with such a name")
    return ClaimId(name)


def case_in(request: Request) -> str:
    """The case that the address names; raises NoSuchReview."""
    return checked_case(str(request.path_params["case"]))


def checked_case(untrusted_name: str) -> str:
    """What may be a case's number; raises NoSuchReview."""
    if not _may_be(untrusted_name):
        raise NoSuchReview(case="that was given")
    return untrusted_name


def _may_be(untrusted_name: str) -> bool:
    return len(untrusted_name) <= _CHARS_MAX and untrusted_name.isprintable()


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
        return Secret(from_base64url(bearer(request).decode("latin-1"), size))
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


HEADER: Final = "Entrenous-Account"
_ACCOUNT: Final = re.compile(r"[!-~]{1,128}")
# Names in mind at a time, some 30 MB; of others the hour's are not counted.
_KEPT_MAX: Final = 200_000
_NAME_BYTES: Final = 16
# Many people are one name where a hook does not know whose an upload is: so many times as many
# refusals are theirs, and their uploads are not bounded.
_NOBODY_TIMES: Final = 50
#: Under which names somebody is counted, and how many times the limit each of them has.
Names = tuple[tuple[bytes, int], ...]


class TooManyUploads(Unreachable):
    """
    As many uploads came from this account as are taken in an hour, so this one was not looked at.
    Nothing was published. Try again in {minutes} minutes, or ask the people who run this
    platform{where}.
    """


class BadAccount(Malformed):
    """
    The name of an account has 1 to 128 printable characters of ASCII, without a space. Nothing was
    looked at.
    """


@dataclass(slots=True)
class Accounts:
    """Counts in a clock hour, in memory: a restart forgets, an hour forgets. Of an account or an
    address there is a hash with a ``key`` that nobody else has, and nothing else.
    """

    access: GateAccess
    key: Secret
    hour: datetime | None = None
    uploads: dict[bytes, int] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)

    def of(self, request: Request, role: Role) -> Names:
        """Whom an upload counts for: an operator's server says it, if it knows, and else they are
        one; what an uploader says of herself is not looked at, and her address counts.

        Raises BadAccount.
        """
        if role is Role.OPERATOR:
            said = request.headers.get(HEADER)
            if said is None:
                return self._nobody()
            if not _ACCOUNT.fullmatch(said):
                raise BadAccount
            return ((self._name("account", said), 1),)
        client = request.client.host if request.client else ""
        return tuple((self._name("network", name), times) for name, times in households(client))

    def count(self, names: Names, now: datetime) -> None:
        """One more upload of theirs; raises TooManyUploads."""
        self._begin(now)
        known = () if names == self._nobody() else names
        if _is_full(known, self.uploads, self.access.uploads_per_account) or _is_full(
            names, self.refused, self.access.refused_per_account
        ):
            raise self._too_many(now)
        _add(known, self.uploads)

    def was_refused(self, names: Names, now: datetime) -> None:
        """One that was counted fits what nobody may post."""
        self._begin(now)
        _add(names, self.refused)

    def _begin(self, now: datetime) -> None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.hour = hour
            self.uploads.clear()
            self.refused.clear()

    def _too_many(self, now: datetime) -> TooManyUploads:
        wait_s = _HOUR_S - now.minute * 60 - now.second
        where = f" here: {self.access.appeal_url}" if self.access.appeal_url else ""
        return TooManyUploads(minutes=-(-wait_s // 60), retry_after_s=wait_s, where=where)

    def _nobody(self) -> Names:
        return ((self._name("nobody", ""), _NOBODY_TIMES),)

    def _name(self, kind: str, text: str) -> bytes:
        said = f"{kind}\0{text}".encode()
        return hmac.digest(self.key.reveal(), said, "sha256")[:_NAME_BYTES]


def _is_full(names: Names, counts: dict[bytes, int], most: int) -> bool:
    return most > 0 and any(counts.get(name, 0) >= most * times for name, times in names)


def _add(names: Names, counts: dict[bytes, int]) -> None:
    for name, _ in names:
        if name in counts or len(counts) < _KEPT_MAX:
            counts[name] = counts.get(name, 0) + 1


_NAME: Final = b"x-forwarded-for"
# A node of RFC 7239, section 6, without its quotes; and, as proxies write them, IPv6 without
# brackets. "unknown" and names that hide an address are none that could be counted.
_PORT: Final = r"(?::(?:\d{1,5}|_[\w.-]+))?"
_HOP: Final = re.compile(
    rf"(?P<four>[\d.]+){_PORT}|\[(?P<six>[\da-f:.]+)\]{_PORT}|(?P<bare>[\da-f:.]+)",
    re.IGNORECASE | re.ASCII,
)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BehindProxies:
    """Wraps an ASGI application, which then finds who asked as the ``client`` of each request."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand a request on."""
        client = scope.get("client")
        if scope["type"] == "http" and client:
            said = [value.decode("latin-1") for name, value in scope["headers"] if name == _NAME]
            scope = {**scope, "client": (client_of(client[0], said, self._trusted), 0)}
        await self._app(scope, receive, send)


def client_of(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The address of whoever asked.

    Args:
        peer: the address that is connected.
        forwarded: the values of X-Forwarded-For, in their order; a stranger may have written them.
        trusted: the networks of proxies that are believed.

    Returns:
        The first address from the right that is no trusted proxy's. Where the next one to the left
        is none, or cannot be read, it is the proxy's that said so; of a peer that is not trusted,
        its own.
    """
    at = _address(peer)
    if at is None:
        return peer
    rest = ",".join(forwarded)
    while rest and any(at in network for network in trusted):
        rest, _, hop = rest.rpartition(",")
        before = _address(_node(hop))
        if before is None:
            break
        at = before
    return str(at)


def _node(untrusted_hop: str) -> str:
    """Without brackets and port; empty for what is no address."""
    found = _HOP.fullmatch(untrusted_hop.strip(" \t"))
    return "" if found is None else found["four"] or found["six"] or found["bare"]


def _address(text: str) -> _Address | None:
    """An IPv4 address that is written as an IPv6 one is that IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
