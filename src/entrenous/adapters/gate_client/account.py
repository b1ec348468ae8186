"""Whose an upload is, as a hook tells its gate: a name that says nothing (spec/gate.md, 6.3).

The gate counts uploads by it. It is a hash with the operator's token as its key, so that all hooks
of one platform say the same, and who has the header or the gate's memory, but not the token, cannot
find the account by trying names.
"""

import base64
import hmac
import ipaddress
from typing import Final

from entrenous.model.secret import Secret

HEADER: Final = "Entrenous-Account"
_BYTES: Final = 16
_HOUSEHOLD_BITS: Final = 64  # of an IPv6 address: whoever has one has all that begin like it


def account_of(name: str | None, address: object) -> str:
    """Whose an upload is: who is signed in, else whose ``address`` it comes from; empty where that
    is not known, as behind a web server that says nothing of it.
    """
    if name:
        return name
    try:
        asked = ipaddress.ip_address(str(address))
    except ValueError:
        return ""
    asked = getattr(asked, "ipv4_mapped", None) or asked
    if not asked.is_global:  # of this house: the server in front, that everybody comes through
        return ""
    bits = asked.max_prefixlen if asked.version == 4 else _HOUSEHOLD_BITS
    return f"network\0{ipaddress.ip_network((asked, bits), strict=False)}"


def account_header(account: str, token: Secret) -> dict[str, str]:
    """The header for this account; none where it is not known."""
    if not account:
        return {}
    said = b"entrenous/1 account\0" + account.encode(errors="surrogateescape")
    name = hmac.digest(token.reveal(), said, "sha256")[:_BYTES]
    return {HEADER: base64.urlsafe_b64encode(name).rstrip(b"=").decode()}
