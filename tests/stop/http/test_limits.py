"""Hourly limits on registrations, per client network and in total."""

import hashlib
import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from entrenous.fingerprint.nouns import Fingerprint, PicturePrint
from entrenous.stop.http.access import GateAccess, HourlyLimit, client_names_with_factors
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.nouns import GateBusy, GateLimits
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimRequest
from entrenous.stop.registration_format import write_registration_request
from tests.deterministic import SettableClock

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def count_if_allowed(limit: HourlyLimit, client: str, now: datetime = NOON) -> bool:
    try:
        limit.count_or_refuse(client, now)
        with limit.counted_in_total(now):
            pass
    except GateBusy:
        return False
    return True


def send_at_once(app: Starlette, bodies: Sequence[tuple[str, bytes]]) -> list[int]:
    """Send one registration from each address, all at once; return the statuses."""
    statuses = list[int]()

    async def send(address: str, body: bytes) -> None:
        transport = httpx.ASGITransport(app, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as web:
            statuses.append((await web.post("/v1/claims", content=body)).status_code)

    async def send_all() -> None:
        async with anyio.create_task_group() as group:
            for address, body in bodies:
                group.start_soon(send, address, body)

    anyio.run(send_all)
    return sorted(statuses)


def claim_body(number: int) -> bytes:
    own = hashlib.sha256(bytes([number])).digest()
    return write_registration_request(ClaimRequest(PicturePrint(Fingerprint("pdq", own, 90)), own))


@pytest.mark.threat("claims-flood")
def test_only_stored_claims_count_towards_the_total_limit(
    platform: Platform, access: GateAccess
) -> None:
    """Otherwise a hundred addresses could keep everybody from registering with empty requests."""
    limited = replace(platform, limits=replace(platform.limits, claims_of_all=3))
    unusable = [(f"192.0.2.{number}", b"") for number in range(20)]
    usable = [(f"198.51.100.{number}", claim_body(number)) for number in range(9)]
    app = gate_app(limited, access)
    assert send_at_once(app, unusable) == [400] * 20
    assert send_at_once(app, usable) == [201] * 3 + [429] * 6


def test_claim_that_is_not_stored_is_taken_off_the_total_of_its_own_hour() -> None:
    limit = HourlyLimit(20, 2)

    def fail_to_store(now: datetime, *, until_next_hour: bool = False) -> None:
        with limit.counted_in_total(now):
            if until_next_hour:
                limit.forget_past_hour(now + timedelta(hours=1))
            raise EOFError

    for _ in range(3):
        with pytest.raises(EOFError):
            fail_to_store(NOON)
    assert limit.total == 0
    with pytest.raises(EOFError):
        fail_to_store(NOON, until_next_hour=True)
    assert limit.total == 0


def test_few_names_are_remembered() -> None:
    limit = HourlyLimit(2, 2000, names_max=3)
    clients = [f"192.0.2.{number}" for number in range(9)]
    for client in clients * 2:
        limit.count_or_refuse(client, NOON)
    assert len(limit.counts) == 3
    with pytest.raises(GateBusy):
        limit.count_or_refuse(clients[0], NOON)


@pytest.mark.threat("claims-flood")
def test_claims_of_one_device_are_limited() -> None:
    limits = GateLimits()
    limit = HourlyLimit(limits.claims_per_hour, limits.claims_of_all)
    assert sum(count_if_allowed(limit, "192.0.2.1") for _ in range(10_000)) == 20
    assert count_if_allowed(limit, "192.0.2.2")  # another address is counted separately
    assert (
        sum(count_if_allowed(limit, "192.0.2.1", NOON + timedelta(hours=1)) for _ in range(99))
        == 20
    )


@pytest.mark.threat("claims-flood")
def test_claims_of_all_devices_share_a_limit() -> None:
    limit = HourlyLimit(20, 2000)
    clients = [f"10.{n // 250}.{n % 250}.1" for n in range(10_000)]
    assert sum(count_if_allowed(limit, client) for client in clients) == 2000
    assert not count_if_allowed(limit, "192.0.2.1")
    assert len(limit.counts) == 2000  # clients are not remembered once the total is reached
    assert count_if_allowed(limit, "192.0.2.1", NOON + timedelta(hours=1))


def test_clients_are_ipv6_networks_or_ipv4_addresses() -> None:
    def network_name(client: str) -> str:
        return client_names_with_factors(client)[0][0]

    assert network_name("2001:db8:1:2::7") == network_name("2001:db8:1:2:ffff::9")
    assert network_name("2001:db8:1:2::7") != network_name("2001:db8:1:3::7")
    assert network_name("192.0.2.1") != network_name("192.0.2.2")
    assert network_name("::ffff:192.0.2.1") == network_name("192.0.2.1")
    assert network_name("") == ""


@pytest.mark.slow
@pytest.mark.threat("claims-flood")
@pytest.mark.parametrize(
    ("wide_network", "expected_count"), [("2001:db8:aa:bb00::/56", 40), ("2001:db8:aa::/48", 200)]
)
def test_many_networks_do_not_exhaust_the_total_limit(
    wide_network: str, expected_count: int
) -> None:
    limit = HourlyLimit(20, 2000)
    networks = itertools.islice(ipaddress.ip_network(wide_network).subnets(new_prefix=64), 2000)
    assert (
        sum(
            count_if_allowed(limit, str(network_64[1]))
            for network_64 in networks
            for _ in range(20)
        )
        == expected_count
    )
    assert count_if_allowed(limit, "203.0.113.5")
    assert count_if_allowed(limit, "2001:db8:ab::1")
    assert len(limit.counts) <= 3 * 2000


@pytest.mark.parametrize(("minute", "second", "wait_s"), [(0, 0, 3600), (59, 59, 1), (30, 1, 1799)])
def test_limit_error_says_how_long_to_wait(minute: int, second: int, wait_s: int) -> None:
    limit = HourlyLimit(1, 2000)
    now = NOON.replace(minute=minute, second=second, microsecond=999_999)
    limit.count_or_refuse("192.0.2.1", now)
    with pytest.raises(GateBusy) as refused:
        limit.count_or_refuse("192.0.2.1", now)
    assert refused.value.facts == {"retry_after_s": wait_s}


def test_limit_answer_has_retry_after(web: httpx.Client, clock: SettableClock) -> None:
    clock.advance(minutes=20)
    answers = [web.post("/v1/claims", content=b"") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 4 + [429]
    assert answers[-1].headers["retry-after"] == "2400"


@given(st.ip_addresses().map(str) | st.text())
def test_addresses_of_one_network_have_the_same_names(client: str) -> None:
    names = [name for name, _ in client_names_with_factors(client)]
    assert len(set(names)) == len(names)
    if len(names) > 1:
        inside = ipaddress.ip_network(names[0])[7]
        assert [name for name, _ in client_names_with_factors(str(inside))] == names
    else:
        assert client_names_with_factors(names[0]) == ((names[0], 1),)
