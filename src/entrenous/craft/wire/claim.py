"""Claims between a device and a platform's gate, as JSON (docs/spec/gate.md section 6).

Strict: a field too many, a wrong type or a hash of another length is refused, on both sides.
"""

from typing import Final

import msgspec

from entrenous.model.claim import BadClaim, ClaimRequest, ClaimState, ClaimStatus
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import ClaimId
from entrenous.spec import PARTS_MAX, PDQ_BYTES

REQUEST_SCHEMA: Final = "entrenous/claim-request/1"
CLAIM_SCHEMA: Final = "entrenous/claim/1"


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    kind: str
    hex: str
    quality: int
    holder: str
    parts: list[str] = []
    reason: str = ""
    jurisdiction: str = ""


class _Claim(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    claim: str
    kind: str
    state: ClaimState


def write_request(request: ClaimRequest) -> bytes:
    """JSON of what leaves the device."""
    return msgspec.json.encode(
        _Request(
            schema=REQUEST_SCHEMA,
            kind=request.whole.kind,
            hex=request.whole.hex,
            quality=request.whole.quality,
            holder=request.holder_sha256.hex(),
            parts=[one.hex() for one in request.parts],
            reason=request.reason,
            jurisdiction=request.jurisdiction,
        )
    )


def read_request(untrusted_data: bytes) -> ClaimRequest:
    """The request that these bytes hold.

    Raises:
        BadClaim: they hold none; says what is wrong without repeating what was sent.
    """
    try:
        form = msgspec.json.decode(untrusted_data, type=_Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadClaim(why="it is not the JSON object that is expected") from problem
    if form.schema != REQUEST_SCHEMA or form.kind != "pdq":
        raise BadClaim(why=f"it should have schema {REQUEST_SCHEMA} and kind pdq")
    if len(form.parts) > PARTS_MAX:
        raise BadClaim(why=f"it has more than {PARTS_MAX} parts")
    try:
        return _to_request(form)
    except (ValueError, msgspec.ValidationError) as problem:
        raise BadClaim(why="a hash, the quality or a text is out of range") from problem


def write_claim(status: ClaimStatus) -> bytes:
    """JSON of what a gate says of a claim."""
    return msgspec.json.encode(_Claim(CLAIM_SCHEMA, status.claim, status.kind, status.state))


def read_claim(untrusted_data: bytes) -> ClaimStatus:
    """What a gate said of a claim; raises BadClaim."""
    try:
        form = msgspec.json.decode(untrusted_data, type=_Claim)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadClaim(why="it is not the JSON object that is expected") from problem
    if form.schema != CLAIM_SCHEMA or not 1 <= len(form.claim) <= 64:
        raise BadClaim(why=f"it should have schema {CLAIM_SCHEMA} and a claim")
    return ClaimStatus(ClaimId(form.claim), form.kind, form.state)


def _to_request(form: _Request) -> ClaimRequest:
    return ClaimRequest(
        whole=Fingerprint(form.kind, _hash(form.hex), form.quality),
        parts=tuple(_hash(one) for one in form.parts),
        holder_sha256=_hash(form.holder),
        reason=form.reason,
        jurisdiction=form.jurisdiction,
    )


def _hash(text: str) -> bytes:
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise ValueError("32 bytes as lower-case hexadecimal digits")
    return bytes.fromhex(text)
