"""Base64url without padding (RFC 4648 section 5), in its one form: what decodes also encodes so."""

import binascii

from entrenous.model.relay_problem import NotUnderstood


def b64u(data: bytes) -> str:
    """Bytes as text."""
    text = binascii.b2a_base64(data, newline=False)
    return text.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=").decode()


def unb64u(untrusted_text: str, size: int | None = None) -> bytes:
    """Text as bytes.

    Raises:
        NotUnderstood: not base64url, not its one form, or not ``size`` bytes.
    """
    if "+" in untrusted_text or "/" in untrusted_text or "=" in untrusted_text:
        raise NotUnderstood
    try:
        text = untrusted_text.encode("ascii").replace(b"-", b"+").replace(b"_", b"/")
        data = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise NotUnderstood from None
    # Bits beyond the last byte are in the last group only: that it is written so says it of all.
    if b64u(data[len(data) // 3 * 3 :]) != untrusted_text[len(data) // 3 * 4 :]:
        raise NotUnderstood
    if size not in (None, len(data)):
        raise NotUnderstood
    return data
