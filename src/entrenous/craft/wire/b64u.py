"""Base64url without padding (RFC 4648 section 5), in its one form: what decodes also encodes so."""

from typing import Final

import pybase64

from entrenous.model.relay_problem import NotUnderstood

_BEYOND: Final = b"-_"  # the letters, after A-Z, a-z and 0-9, that are not those of plain base64


def b64u(data: bytes) -> str:
    """Bytes as text."""
    return pybase64.b64encode_as_string(data, _BEYOND).rstrip("=")


def unb64u(untrusted_text: str, size: int | None = None) -> bytes:
    """Text as bytes.

    Raises:
        NotUnderstood: not base64url, not its one form, or not ``size`` bytes.
    """
    if "+" in untrusted_text or "/" in untrusted_text or "=" in untrusted_text:
        raise NotUnderstood
    padded = untrusted_text + "=" * (-len(untrusted_text) % 4)
    try:
        data = pybase64.b64decode(padded, _BEYOND, validate=True)
    except ValueError:
        raise NotUnderstood from None
    # Bits beyond the last byte are in the last group only: that it is written so says it of all.
    if b64u(data[len(data) // 3 * 3 :]) != untrusted_text[len(data) // 3 * 4 :]:
        raise NotUnderstood
    if size not in (None, len(data)):
        raise NotUnderstood
    return data
