"""Who asks, how often, and how much of a body is read (docs/spec/exchange.md section 1)."""

import base64
import binascii
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from entrenous.model.exchange import BadQuery, ExchangePartner, TooLong, TooManyRequests, WrongKey
from entrenous.model.secret import Secret
from entrenous.ports.exchange import Exchange
from entrenous.stop.exchange.partners import partner_with

AT_ONCE: Final = 600
A_SECOND: Final = 20
WRONG_KEYS_A_MINUTE: Final = 10
_COUNTED_MAX: Final = 10_000  # beyond, counting begins anew for everybody
_NOTED_EVERY: Final = timedelta(minutes=1)
_ARRIVAL_S_MAX: Final = 60


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


@dataclass(slots=True)
class Allowance:
    """So many at once, and so many a second after that, of each name; in memory."""

    at_once: int
    a_second: float
    buckets: dict[str, _Bucket] = field(default_factory=dict)

    def take(self, name: str, now: datetime) -> None:
        """One of that name's; raises TooManyRequests."""
        if len(self.buckets) >= _COUNTED_MAX:
            self.buckets.clear()
        bucket = self.buckets.setdefault(name, _Bucket(self.at_once, now))
        passed_s = max(0.0, (now - bucket.at).total_seconds())
        bucket.left = min(self.at_once, bucket.left + passed_s * self.a_second)
        bucket.at = now
        if bucket.left < 1:
            raise TooManyRequests(seconds=max(1, round((1 - bucket.left) / self.a_second)))
        bucket.left -= 1


@dataclass(frozen=True, slots=True)
class Door:
    """Lets partners in. A right key is let in whoever else shares its address."""

    exchange: Exchange
    requests: Allowance = field(default_factory=lambda: Allowance(AT_ONCE, A_SECOND))
    wrong: Allowance = field(
        default_factory=lambda: Allowance(WRONG_KEYS_A_MINUTE, WRONG_KEYS_A_MINUTE / 60)
    )

    async def partner(
        self, request: Request, key: Secret, name: str | None = None
    ) -> ExchangePartner:
        """Who shows this key; raises WrongKey, TooManyRequests."""
        now = self.exchange.clock.now()
        try:
            partner = await run_in_threadpool(partner_with, key, self.exchange, name=name)
        except WrongKey:
            self.wrong.take(_network(request), now)
            raise
        self.requests.take(partner.name, now)
        if partner.asked_at is None or now - partner.asked_at > _NOTED_EVERY:
            await run_in_threadpool(self.exchange.partners.asked, partner.name, now)
        return partner


def basic(request: Request) -> tuple[str, Secret]:
    """Name and key (RFC 7617); raises WrongKey."""
    scheme, _, said = request.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(said.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise WrongKey from None
    name, colon, key = pair.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise WrongKey
    return name, Secret(key.encode())


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The body; raises TooLong as soon as that is known, BadQuery if it does not come."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise TooLong(limit_bytes=bytes_max)
    body = bytearray()
    try:
        with anyio.fail_after(_ARRIVAL_S_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise TooLong(limit_bytes=bytes_max)
    except TimeoutError as problem:
        raise BadQuery(why="it took more than a minute to come") from problem
    return bytes(body)


def number_in(request: Request, name: str, default: int | None = None) -> int:
    """A whole number of the query, 0 to 2**62; raises BadQuery."""
    return whole_number(request.query_params.get(name, "" if default is None else str(default)))


def whole_number(untrusted_text: str) -> int:
    """From at most 18 ASCII digits; raises BadQuery."""
    if not (untrusted_text.isascii() and untrusted_text.isdecimal() and len(untrusted_text) <= 18):
        raise BadQuery(why="a number is missing or not one")
    return int(untrusted_text)


def _network(request: Request) -> str:
    """Whose wrong keys are counted together: an address, of IPv6 the /64 network."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
