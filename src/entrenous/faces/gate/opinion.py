"""Other platforms' opinions, as JSON (docs/spec/gate.md sections 4 and 6).

Strict: a field too many, a wrong type or a key of another length is refused.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.model.ids import ClaimId
from entrenous.model.opinion import ED25519_BYTES, BadOpinion, Opinion, Stance
from entrenous.model.relay_problem import NotUnderstood

OPINION_SCHEMA: Final = "entrenous/opinion/1"
OPINION_BYTES_MAX: Final = 4096
_SIGNATURE_BYTES: Final = 64
_AT_MAX: Final = 2**34  # the year 2514


class _Opinion(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    opinion: Stance
    at: int
    key: str
    signature: str


def read_opinion(untrusted_data: bytes, claim: ClaimId) -> tuple[Opinion, bytes]:
    """What is said of that claim, and the signature (64 bytes), which proves nothing yet.

    Raises:
        BadOpinion: these bytes hold none; says what is wrong without repeating what was sent.
    """
    try:
        form = msgspec.json.decode(untrusted_data, type=_Opinion)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadOpinion(why="it is not the JSON object that is expected") from problem
    if form.schema != OPINION_SCHEMA or not 0 <= form.at < _AT_MAX:
        raise BadOpinion(why=f"its schema is not {OPINION_SCHEMA}, or its time none")
    try:
        key, signature = unb64u(form.key, ED25519_BYTES), unb64u(form.signature, _SIGNATURE_BYTES)
    except NotUnderstood as problem:
        raise BadOpinion(why="its key or signature is not base64url of its length") from problem
    return Opinion(claim, form.opinion, datetime.fromtimestamp(form.at, UTC), key), signature


def write_opinion(opinion: Opinion, signature: bytes) -> bytes:
    """JSON of what a platform sends."""
    at = int(opinion.at.timestamp())
    key, signed = b64u(opinion.key), b64u(signature)
    return msgspec.json.encode(_Opinion(OPINION_SCHEMA, opinion.stance, at, key, signed))
