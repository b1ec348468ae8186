"""How a gate stands towards those who ask it: TLS, proxies, where to appeal."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class GateFront:
    """What the operator sets of it (docs/spec/gate.md sections 6 and 6.2).

    With ``tls_cert`` and ``tls_key`` the gate speaks TLS itself. Only what ``trusted_proxies`` say
    of who asked is believed. ``appeal_url`` is where a person can ask for a look.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    appeal_url: str = ""

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key are set both or not at all")
