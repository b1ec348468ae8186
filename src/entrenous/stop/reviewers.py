"""The people who review uploads: each has a token, by which the gate knows who decided."""

import hashlib
import re
from typing import Final

from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.stop.platform import Platform
from entrenous.wire.encodings import to_base64url

_TOKEN_PATTERN: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


def add_reviewer(name: str, platform: Platform) -> Secret:
    """Add a reviewer, and return their token as text; only the token's hash is stored.

    Raises BadReviewerName or ReviewerKnown; in both cases nothing was changed.
    """
    token = Secret(to_base64url(platform.random_source.token(TOKEN_BYTES)).encode())
    platform.reviews.add_reviewer(name, _token_hash(token.reveal()))
    return token


def reviewer_with_token(untrusted_token: bytes, platform: Platform) -> str | None:
    """Return the name of the reviewer with this token, or None.

    The token is looked up by its hash, so that timing reveals nothing about it. Malformed tokens
    are not looked up.
    """
    if not _TOKEN_PATTERN.fullmatch(untrusted_token):
        return None
    found = platform.reviews.reviewer_with_token_hash(_token_hash(untrusted_token))
    return None if found is None else found.name


def _token_hash(token: bytes) -> bytes:
    """Return a token's SHA-256; 256 random bits need no slow hash."""
    return hashlib.sha256(token).digest()
