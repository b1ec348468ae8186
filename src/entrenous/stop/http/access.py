"""Authenticate requests, find the client's address, and limit use (docs/spec/gate.md, 6).

Behind proxies, the client's address is the forwarded one (6.2). An account may submit a limited
number of uploads per hour, so that nobody can probe without limit which pictures are registered.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send

from entrenous.base.errors import Malformed, NotUnderstood, Unproven, Unreachable
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import GATE_UPLOAD_BYTES_MAX, HOLDER_TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.stop.gate_settings import GateHttpSettings, IpNetwork
from entrenous.stop.judge.decide import APPEAL_SECRET_BYTES
from entrenous.stop.nouns import GateBusy
from entrenous.stop.platform import Platform
from entrenous.stop.registration import NoSuchClaim
from entrenous.stop.reviewers import reviewer_with_token
from entrenous.stop.upload_record import OPERATOR_NAME, NoSuchReview, PublishedAnyway
from entrenous.wire.encodings import from_base64url

_PATH_NAME_CHARS_MAX: Final = 64


def claim_id_in_path(request: Request) -> ClaimId:
    """Return the claim's id in the address; raises NoSuchClaim."""
    name = request.path_params["claim"]
    if not _is_valid_name(name):
        raise NoSuchClaim(claim="with such a name")
    return ClaimId(name)


def case_number_in_path(request: Request) -> str:
    """Return the case's number in the address; raises NoSuchReview."""
    return check_case_number(str(request.path_params["case"]))


def check_case_number(untrusted_name: str) -> str:
    """Check that this may be a case's number; raises NoSuchReview."""
    if not _is_valid_name(untrusted_name):
        raise NoSuchReview(case="that was given")
    return untrusted_name


def _is_valid_name(untrusted_name: str) -> bool:
    return len(untrusted_name) <= _PATH_NAME_CHARS_MAX and untrusted_name.isprintable()


# Prefix lengths of IPv6 networks, each with a multiple of the limit of one household. A household
# is assigned a /64 or often a /56, and a site a /48.
_IPV6_PREFIX_LIMIT_FACTORS: Final = ((64, 1), (56, 2), (48, 10))
_HOUR_S: Final = 3600
# At most this many names of accounts or networks are remembered, in about 30 MB. Further names are
# not counted.
_NAMES_REMEMBERED_MAX: Final = 200_000
PUBLISHES_HEADER: Final = "Entrenous-Publishes"


class TokenRole(StrEnum):
    """What a token permits."""

    OPERATOR = "operator"  # the platform's own server or staff: sees the reasons
    UPLOADER = "uploader"  # a person's browser: sees only whether an upload was refused


@dataclass(frozen=True, slots=True)
class GateAccess:
    """The tokens that the gate accepts, encoded as in the header, and the limits of the gate.

    Without an ``uploader`` token, only the operator may upload. The ``metrics`` token only permits
    reading metrics.
    """

    operator: Secret
    uploader: Secret | None = None
    metrics: Secret | None = None
    upload_bytes_max: int = GATE_UPLOAD_BYTES_MAX
    uploads_at_once: int = 8
    appeal_url: str = ""
    uploads_per_account: int = GateHttpSettings().uploads_per_account
    refused_per_account: int = GateHttpSettings().refused_per_account


class BadPublishes(Malformed):
    """
    The header Entrenous-Publishes must be "held" or "all", or absent. Nothing was checked. Correct
    the header and send the upload again.
    """


class WrongToken(Unproven):
    """
    This request needs a valid token or secret in the header "Authorization: Bearer ...". Nothing
    was changed. The gate's own tokens are in its data folder, in files whose names end with .token.
    A reviewer gets a token from the operator. An appeal needs the secret that came with the
    decision. A registration's token is only on the device that made the registration.
    """


def token_role(request: Request, access: GateAccess) -> TokenRole:
    """Return the role of the request's token, operator or uploader. Tokens are compared in constant
    time.

    Raises WrongToken.
    """
    if is_operator(request, access):
        return TokenRole.OPERATOR
    if _has_token(request, access.uploader):
        return TokenRole.UPLOADER
    raise WrongToken


def declared_publishing(request: Request, role: TokenRole) -> PublishedAnyway:
    """Return which uploads the platform publishes even if the gate holds or refuses them.

    The header is ignored in an uploader's request.

    Raises:
        BadPublishes.
    """
    header = request.headers.get(PUBLISHES_HEADER)
    if header is None or role is not TokenRole.OPERATOR:
        return PublishedAnyway.NOTHING
    if header not in (PublishedAnyway.HELD, PublishedAnyway.ALL):
        raise BadPublishes
    return PublishedAnyway(header)


def is_operator(request: Request, access: GateAccess) -> bool:
    """Return whether the request has the operator's token.

    A different token, or none, is not an error here.
    """
    return _has_token(request, access.operator)


def require_operator(request: Request, access: GateAccess) -> None:
    if not is_operator(request, access):
        raise WrongToken


async def require_reviewer(request: Request, access: GateAccess, platform: Platform) -> str:
    """Return "operator", or the name of the reviewer who has the token; raises WrongToken."""
    if is_operator(request, access):
        return OPERATOR_NAME
    name = await run_in_threadpool(reviewer_with_token, bearer_token(request), platform)
    if name is None:
        raise WrongToken
    return name


def require_metrics_token(request: Request, access: GateAccess) -> None:
    """Raise WrongToken unless the request has the operator's token or the token for metrics."""
    if not (is_operator(request, access) or _has_token(request, access.metrics)):
        raise WrongToken


def _has_token(request: Request, token: Secret | None) -> bool:
    return token is not None and hmac.compare_digest(bearer_token(request), token.reveal())


def bearer_token(request: Request) -> bytes:
    """Return the token in the header as bytes; b"" if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def holder_token(request: Request) -> Secret:
    """Return the claim holder's token: 32 bytes in base64url; raises WrongToken."""
    return _base64url_secret(request, HOLDER_TOKEN_BYTES)


def appeal_secret(request: Request) -> Secret:
    """Return the secret that came with a decision: 16 bytes in base64url.

    Raises:
        WrongToken: the request has none.
        NoSuchReview: it is malformed, so it belongs to no case.
    """
    try:
        return _base64url_secret(request, APPEAL_SECRET_BYTES)
    except WrongToken:
        if bearer_token(request):
            raise NoSuchReview(case=case_number_in_path(request)) from None
        raise


def _base64url_secret(request: Request, size: int) -> Secret:
    try:
        return Secret(from_base64url(bearer_token(request).decode("latin-1"), size))
    except NotUnderstood as problem:
        raise WrongToken from problem


def client_names_with_factors(client: str) -> tuple[tuple[str, int], ...]:
    """Return the names under which a client is counted, each with a multiple of a household's
    limit.

    A client with an IPv4 address is counted under that address. A client with an IPv6 address is
    counted under each of its networks, the smallest first.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ((client, 1),)
    if address.version == 4:
        return ((client, 1),)
    if address.ipv4_mapped:
        return ((str(address.ipv4_mapped), 1),)
    return tuple(
        (_mask_address(address, bits), times) for bits, times in _IPV6_PREFIX_LIMIT_FACTORS
    )


def _mask_address(address: ipaddress.IPv6Address, bits: int) -> str:
    rest = address.max_prefixlen - bits
    return str(ipaddress.ip_network((int(address) >> rest << rest, bits)))


@dataclass(slots=True)
class HourlyLimit:
    """Counts registrations in each hour of the clock, in memory only: per household all requests,
    and in total the claims that are stored.

    Requests that store nothing do not count towards the total, so that empty ones cannot use it up.
    At most ``names_max`` households and networks are remembered, which limits the memory. Requests
    from further ones count only towards the total.
    """

    household_limit: int
    total_limit: int
    names_max: int = _NAMES_REMEMBERED_MAX
    hour: datetime | None = None
    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def count_or_refuse(self, client: str, now: datetime) -> None:
        """Count one request of a household; raises GateBusy above its limit or the total one."""
        self._refuse_above_total(now)
        counted = client_names_with_factors(client)
        if any(self._has_reached_limit(*one) for one in counted):
            raise _busy_until_next_hour(now)
        for name, _ in counted:
            if name in self.counts or len(self.counts) < self.names_max:
                self.counts[name] = self.counts.get(name, 0) + 1

    @contextmanager
    def counted_in_total(self, now: datetime) -> Iterator[None]:
        """Count one claim towards the total before it is stored, and no longer if storing fails, so
        that claims that arrive at once never exceed the limit; raises GateBusy above it.
        """
        self._refuse_above_total(now)
        self.total += 1
        hour = self.hour
        try:
            yield
        except Exception:
            if self.hour == hour:
                self.total -= 1
            raise

    def _refuse_above_total(self, now: datetime) -> None:
        self.forget_past_hour(now)
        if self.total >= self.total_limit:
            raise _busy_until_next_hour(now)

    def forget_past_hour(self, now: datetime) -> None:
        """Forget the counts of an earlier hour; call it regularly, since they contain addresses."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.hour, self.total = hour, 0
            self.counts.clear()

    def _has_reached_limit(self, name: str, times: int) -> bool:
        return self.counts.get(name, 0) >= times * self.household_limit


def _busy_until_next_hour(now: datetime) -> GateBusy:
    """Return the error with the number of seconds until the next hour."""
    return GateBusy(retry_after_s=_HOUR_S - now.minute * 60 - now.second)


ACCOUNT_HEADER: Final = "Entrenous-Account"
_ACCOUNT_PATTERN: Final = re.compile(r"[!-~]{1,128}")
_ACCOUNT_HASH_BYTES: Final = 16
# All uploads without a known account count as one account. That account has this multiple of the
# limit on refusals, and no limit on uploads.
_ANONYMOUS_LIMIT_FACTOR: Final = 50
#: Hashes of the names under which a client is counted, each with a multiple of the limit.
CountedNames = tuple[tuple[bytes, int], ...]


class TooManyUploads(Unreachable):
    """
    This account, or the network from which the upload came, has reached its limit of uploads per
    hour, so this upload was not checked. Nothing was published. Try again in {minutes} minutes, or
    ask the people who run this platform for help{where}.
    """


class BadAccount(Malformed):
    """
    The name of an account has 1 to 128 printable ASCII characters and no spaces. Nothing was
    checked. Correct the name and send the upload again.
    """


@dataclass(slots=True)
class AccountCounter:
    """Counts uploads and refusals of each account in each hour of the clock, in memory only.

    Accounts and addresses are remembered only as hashes that are keyed with the random ``key``.
    """

    access: GateAccess
    key: Secret
    hour: datetime | None = None
    uploads: dict[bytes, int] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)

    def counted_names(self, request: Request, role: TokenRole) -> CountedNames:
        """Return the names under which an upload counts.

        The operator's server names the account; uploads without a name count as one account. For an
        uploader, the address is used, and the header is ignored.

        Raises:
            BadAccount.
        """
        if role is TokenRole.OPERATOR:
            account = request.headers.get(ACCOUNT_HEADER)
            if account is None:
                return self._anonymous_name()
            if not _ACCOUNT_PATTERN.fullmatch(account):
                raise BadAccount
            return ((self._hash_name("account", account), 1),)
        client = request.client.host if request.client else ""
        return tuple(
            (self._hash_name("network", name), times)
            for name, times in client_names_with_factors(client)
        )

    def count_or_refuse(self, names: CountedNames, now: datetime) -> None:
        """Count one more upload; raises TooManyUploads."""
        self.forget_past_hour(now)
        known = () if names == self._anonymous_name() else names
        if _is_limit_reached(
            known, self.uploads, self.access.uploads_per_account
        ) or _is_limit_reached(names, self.refused, self.access.refused_per_account):
            raise self._too_many_uploads_error(now)
        _add_one_to_counts(known, self.uploads)

    def count_refusal(self, names: CountedNames, now: datetime) -> None:
        """Count one more refusal, of an upload that was counted."""
        self.forget_past_hour(now)
        _add_one_to_counts(names, self.refused)

    def forget_past_hour(self, now: datetime) -> None:
        """Forget the counts of an earlier hour; call it regularly."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.hour = hour
            self.uploads.clear()
            self.refused.clear()

    def _too_many_uploads_error(self, now: datetime) -> TooManyUploads:
        wait_s = _HOUR_S - now.minute * 60 - now.second
        where = f" here: {self.access.appeal_url}" if self.access.appeal_url else ""
        return TooManyUploads(minutes=-(-wait_s // 60), retry_after_s=wait_s, where=where)

    def _anonymous_name(self) -> CountedNames:
        return ((self._hash_name("nobody", ""), _ANONYMOUS_LIMIT_FACTOR),)

    def _hash_name(self, kind: str, text: str) -> bytes:
        text_with_kind = f"{kind}\0{text}".encode()
        return hmac.digest(self.key.reveal(), text_with_kind, "sha256")[:_ACCOUNT_HASH_BYTES]


def _is_limit_reached(names: CountedNames, counts: dict[bytes, int], most: int) -> bool:
    return most > 0 and any(counts.get(name, 0) >= most * times for name, times in names)


def _add_one_to_counts(names: CountedNames, counts: dict[bytes, int]) -> None:
    for name, _ in names:
        if name in counts or len(counts) < _NAMES_REMEMBERED_MAX:
            counts[name] = counts.get(name, 0) + 1


_FORWARDED_HEADER: Final = b"x-forwarded-for"
# Matches a node of RFC 7239, section 6, without quotes, or IPv6 without brackets, as proxies write
# it. Neither "unknown" nor obfuscated names match.
_FORWARDED_PORT_REGEX: Final = r"(?::(?:\d{1,5}|_[\w.-]+))?"
_FORWARDED_HOP_PATTERN: Final = re.compile(
    rf"(?P<four>[\d.]+){_FORWARDED_PORT_REGEX}|\[(?P<six>[\da-f:.]+)\]{_FORWARDED_PORT_REGEX}|(?P<bare>[\da-f:.]+)",
    re.IGNORECASE | re.ASCII,
)
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForwardedAddressMiddleware:
    """ASGI middleware that sets each request's ``client`` to the forwarded address."""

    def __init__(self, app: ASGIApp, trusted: Sequence[IpNetwork]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client:
            said = [
                value.decode("latin-1")
                for name, value in scope["headers"]
                if name == _FORWARDED_HEADER
            ]
            scope = {**scope, "client": (forwarded_client(client[0], said, self._trusted), 0)}
        await self._app(scope, receive, send)


def forwarded_client(peer: str, forwarded: Iterable[str], trusted: Sequence[IpNetwork]) -> str:
    """Return the address of the client behind trusted proxies.

    Args:
        peer: the connected address.
        forwarded: the values of X-Forwarded-For, in order; untrusted.
        trusted: the networks of proxies to believe.

    Returns:
        The first address, read from the right, that is not a trusted proxy's. This is the peer's
        address if the peer itself is not trusted. If an entry is missing or malformed, it is the
        last address that could be read before that entry.
    """
    at = _parse_ip_address(peer)
    if at is None:
        return peer
    rest = ",".join(forwarded)
    while rest and any(at in network for network in trusted):
        rest, _, hop = rest.rpartition(",")
        before = _parse_ip_address(_address_in_hop(hop))
        if before is None:
            break
        at = before
    return str(at)


def _address_in_hop(untrusted_hop: str) -> str:
    """Return the address without brackets and port; "" if it is malformed."""
    found = _FORWARDED_HOP_PATTERN.fullmatch(untrusted_hop.strip(" \t"))
    return "" if found is None else found["four"] or found["six"] or found["bare"]


def _parse_ip_address(text: str) -> IpAddress | None:
    """Parse an address; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
