"""Whose an upload is, as a hook tells its gate: a name that says nothing (spec/gate.md, 6.3).

The gate counts uploads by it. It is a hash with the operator's token as its key, so that all hooks
of one platform say the same, and who has the header or the gate's memory, but not the token, cannot
find the account by trying names.
"""

import base64
import hmac
from typing import Final

from entrenous.model.secret import Secret

HEADER: Final = "Entrenous-Account"
_BYTES: Final = 16


def account_header(account: str, token: Secret) -> dict[str, str]:
    """The header for this account; none where it is not known."""
    if not account:
        return {}
    said = b"entrenous/1 account\0" + account.encode(errors="surrogateescape")
    name = hmac.digest(token.reveal(), said, "sha256")[:_BYTES]
    return {HEADER: base64.urlsafe_b64encode(name).rstrip(b"=").decode()}
