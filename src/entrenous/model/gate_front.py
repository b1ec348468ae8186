"""How a gate stands towards those who ask it: TLS, proxies, where to appeal, uploads an account."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class GateFront:
    """What the operator sets of it (docs/spec/gate.md sections 6.2 and 6.3).

    With ``tls_cert`` and ``tls_key`` the gate speaks TLS itself. Only what ``trusted_proxies`` say
    of who asked is believed. ``appeal_url`` is where a person can ask for a look. One account
    brings at most ``uploads_per_account`` uploads in a clock hour, and none after
    ``refused_per_account`` of them were refused; 0 is no limit.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    appeal_url: str = ""
    uploads_per_account: int = 200
    refused_per_account: int = 20

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key are set both or not at all")
        if min(self.uploads_per_account, self.refused_per_account) < 0:
            raise ValueError(
                "uploads_per_account and refused_per_account should be 0, for none, or more"
            )
