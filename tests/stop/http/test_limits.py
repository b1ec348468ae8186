"""Hourly limits on registrations, per client network and in total."""

import ipaddress
import itertools
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.http.access import HourlyLimit, client_names_with_factors
from entrenous.stop.nouns import GateBusy, GateLimits
from tests.deterministic import SettableClock

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def count_if_allowed(limit: HourlyLimit, client: str, now: datetime = NOON) -> bool:
    try:
        limit.count_or_refuse(client, now)
    except GateBusy:
        return False
    return True


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
    assert len(limit.counts) == 2000  # refused clients are not remembered
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
