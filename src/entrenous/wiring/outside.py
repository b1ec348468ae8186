"""What a device may ask outside of its relay: stamp authorities, platforms, this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from entrenous.adapters.bank.client import HttpBankClient
from entrenous.adapters.courier.http import new_client, way_to
from entrenous.adapters.courier.lanes import Lanes
from entrenous.adapters.courier.pace import PacedTransport
from entrenous.adapters.machine import LocalMachine
from entrenous.adapters.rfc3161 import HttpTimestampAuthority, KeptAuthorities
from entrenous.adapters.stamp_roots import TrustedAuthorities, fingerprints
from entrenous.model.setting import Proxy
from entrenous.ports import BankClient, Machine, StampChecker, TimestampAuthority


@contextmanager
def timestamp_authority(
    url: str, authorities: bytes, proxy: Proxy | None = None
) -> Iterator[TimestampAuthority]:
    """A stamp authority over HTTP; ``authorities`` are the certificates trusted for it, PEM."""
    context = httpx.create_ssl_context(trust_env=False)  # many speak no TLS 1.3
    lanes = Lanes(lambda asked: PacedTransport(context, way_to(asked, proxy)))
    with httpx.Client(transport=lanes, timeout=30, trust_env=False) as client:
        yield HttpTimestampAuthority(url, authorities, client)


def kept_authorities() -> StampChecker:
    """Checks stamps against the certificates that were kept with them, without a network."""
    return KeptAuthorities()


def trusted_authorities(authorities: bytes) -> StampChecker:
    """Checks stamps against these certificates (PEM) alone, without a network."""
    return TrustedAuthorities(authorities)


def root_fingerprints(authorities: bytes) -> tuple[bytes, ...]:
    """SHA-256 (32 bytes) of each root among certificates that have proven a stamp."""
    return fingerprints(authorities)


@contextmanager
def bank_client(url: str, proxy: Proxy | None = None) -> Iterator[BankClient]:
    """A platform's gate as this device sees it."""
    with new_client(proxy=proxy) as client:
        yield HttpBankClient(url, client)


def local_machine(home: Path) -> Machine:
    """What the check-up may see of this computer."""
    return LocalMachine(home)
