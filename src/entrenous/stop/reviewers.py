"""Reviewers: who may decide besides the operator, and by which token (docs/spec/gate.md, 7.1)."""

import hashlib
import re
from typing import Final

from entrenous.craft.wire.b64u import b64u
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.spec import TOKEN_BYTES

_FORM: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


def add_reviewer(name: str, platform: Platform) -> Secret:
    """Let a person decide; their token, as the text that they show, is told this once.

    Raises:
        BadReviewerName, ReviewerKnown: nothing was changed.
    """
    token = Secret(b64u(platform.dice.token(TOKEN_BYTES)).encode())
    platform.reviews.add_reviewer(name, _kept(token.reveal()))
    return token


def reviewer_with(untrusted_token: bytes, platform: Platform) -> str | None:
    """The name of whose token it is; None if it is nobody's.

    It is looked up by its hash, which tells a patient stranger's stopwatch nothing about it. What
    no token can be is not asked of the database.
    """
    if not _FORM.fullmatch(untrusted_token):
        return None
    found = platform.reviews.reviewer_with(_kept(untrusted_token))
    return None if found is None else found.name


def _kept(token: bytes) -> bytes:
    """Random 256 bits need no slow hash."""
    return hashlib.sha256(token).digest()
