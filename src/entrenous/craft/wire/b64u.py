"""Base64url without padding (RFC 4648 section 5), in its one form: what decodes also encodes so."""

import base64
import binascii

from entrenous.model.envelope import NotUnderstood


def b64u(data: bytes) -> str:
    """Bytes as text."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64u(untrusted_text: str, size: int | None = None) -> bytes:
    """Text as bytes.

    Raises:
        NotUnderstood: not base64url, not its one form, or not ``size`` bytes.
    """
    try:
        padding = "=" * (-len(untrusted_text) % 4)
        data = base64.b64decode(untrusted_text + padding, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise NotUnderstood from None
    if b64u(data) != untrusted_text or size not in (None, len(data)):
        raise NotUnderstood
    return data
