"""The JSON of a registration request and its answer (docs/spec/gate.md, 6)."""

from typing import Annotated, Final

import msgspec

from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import (
    CLAIM_BYTES_MAX,
    PDQ_BYTES,
    REGISTERED_PARTS_MAX,
    SOUND_CLAIM_BYTES_MAX,
    VIDEO_CLAIM_BYTES_MAX,
)
from entrenous.fingerprint.nouns import (
    EMBEDDING_NUMBERS,
    PICTURE_KIND,
    REGISTERED_FRAMES_MAX,
    SOUND_KIND,
    SOUND_WORDS_MAX,
    VIDEO_KIND,
    ClipPrint,
    Embedding,
    Fingerprint,
    FramePrint,
    MediaFingerprint,
    PicturePrint,
    SoundPrint,
    VideoPrint,
)
from entrenous.stop.registration import BadClaim, ClaimRequest, ClaimState, ClaimStatus

REQUEST_SCHEMA: Final = "entrenous/claim-request/1"
CLAIM_SCHEMA: Final = "entrenous/claim/1"
REQUEST_BYTES_MAX_BY_KIND: Final = {
    PICTURE_KIND: CLAIM_BYTES_MAX,
    VIDEO_KIND: VIDEO_CLAIM_BYTES_MAX,
    SOUND_KIND: SOUND_CLAIM_BYTES_MAX,
}
_HashHex = Annotated[str, msgspec.Meta(min_length=2 * PDQ_BYTES, max_length=2 * PDQ_BYTES)]
_WordsHex = Annotated[str, msgspec.Meta(min_length=8, max_length=8 * SOUND_WORDS_MAX)]


class _EmbeddingForm(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    numbers: Annotated[
        str, msgspec.Meta(min_length=2 * EMBEDDING_NUMBERS, max_length=2 * EMBEDDING_NUMBERS)
    ]


class _RequestForm(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    schema: str
    holder: _HashHex
    reason: str = ""
    jurisdiction: str = ""


class _PictureForm(_RequestForm, tag=PICTURE_KIND):
    hex: _HashHex
    quality: int
    parts: Annotated[list[_HashHex], msgspec.Meta(max_length=REGISTERED_PARTS_MAX)] = []
    embedding: _EmbeddingForm | msgspec.UnsetType = msgspec.UNSET


class _FrameForm(msgspec.Struct, forbid_unknown_fields=True):
    at_ms: int
    hex: _HashHex
    quality: int
    inner: _HashHex | msgspec.UnsetType = msgspec.UNSET


class _VideoForm(_RequestForm, tag=VIDEO_KIND):
    frames: Annotated[
        list[_FrameForm], msgspec.Meta(min_length=1, max_length=REGISTERED_FRAMES_MAX)
    ]
    sound: _WordsHex | msgspec.UnsetType = msgspec.UNSET


class _SoundForm(_RequestForm, tag=SOUND_KIND):
    sound: _WordsHex


class _ClaimForm(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    claim: str
    kind: str
    state: ClaimState


def write_registration_request(request: ClaimRequest) -> bytes:
    form = _fingerprint_form(request.print)
    form.holder = request.holder_sha256.hex()
    form.reason, form.jurisdiction = request.reason, request.jurisdiction
    return msgspec.json.encode(form)


def read_registration_request(untrusted_data: bytes) -> ClaimRequest:
    """Parse a request.

    Raises:
        BadClaim: the message says what is wrong and does not repeat what was sent.
    """
    try:
        form = msgspec.json.decode(untrusted_data, type=_PictureForm | _VideoForm | _SoundForm)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadClaim(why="it is not the expected JSON object") from problem
    if form.schema != REQUEST_SCHEMA:
        raise BadClaim(why=f"its schema is not {REQUEST_SCHEMA}")
    try:
        return ClaimRequest(
            _parse_fingerprint(form), _parse_hex(form.holder), form.reason, form.jurisdiction
        )
    except ValueError as problem:
        raise BadClaim(
            why="a hash or a number is invalid, a text is too long, or the frames are out of order"
        ) from problem


def write_claim_status(status: ClaimStatus) -> bytes:
    return msgspec.json.encode(_ClaimForm(CLAIM_SCHEMA, status.claim, status.kind, status.state))


def read_claim_status(untrusted_data: bytes) -> ClaimStatus:
    """Parse a gate's answer about a claim; raises BadClaim."""
    try:
        form = msgspec.json.decode(untrusted_data, type=_ClaimForm)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadClaim(why="it is not the expected JSON object") from problem
    if form.schema != CLAIM_SCHEMA or not 1 <= len(form.claim) <= 64:
        raise BadClaim(why=f"its schema is not {CLAIM_SCHEMA}, or its claim is missing or too long")
    return ClaimStatus(ClaimId(form.claim), form.kind, form.state)


def _fingerprint_form(fingerprint: MediaFingerprint) -> _PictureForm | _VideoForm | _SoundForm:
    """Return a request's form with the fingerprints only; the caller adds the other fields."""
    match fingerprint:
        case PicturePrint(whole, parts, one):
            return _PictureForm(
                schema=REQUEST_SCHEMA,
                holder="",
                hex=whole.hex,
                quality=whole.quality,
                parts=[part.hex() for part in parts],
                embedding=msgspec.UNSET
                if one is None
                else _EmbeddingForm(one.model, one.numbers.hex()),
            )
        case ClipPrint(video, sound):
            frames = [_frame_form(one) for one in video.frames]
            words = msgspec.UNSET if sound is None else sound.words.hex()
            return _VideoForm(schema=REQUEST_SCHEMA, holder="", frames=frames, sound=words)
        case SoundPrint(words):
            return _SoundForm(schema=REQUEST_SCHEMA, holder="", sound=words.hex())


def _frame_form(frame: FramePrint) -> _FrameForm:
    inner = msgspec.UNSET if frame.inner is None else frame.inner.hex()
    return _FrameForm(frame.at_ms, frame.bits.hex(), frame.quality, inner)


def _parse_fingerprint(form: _PictureForm | _VideoForm | _SoundForm) -> MediaFingerprint:
    if isinstance(form, _PictureForm):
        whole = Fingerprint(PICTURE_KIND, _parse_hex(form.hex), form.quality)
        parts = tuple(_parse_hex(one) for one in form.parts)
        sent = form.embedding
        embedding = (
            None if sent is msgspec.UNSET else Embedding(_parse_hex(sent.numbers), sent.model)
        )
        return PicturePrint(whole, parts, embedding)
    if isinstance(form, _SoundForm):
        return SoundPrint(_parse_hex(form.sound))
    video = VideoPrint(tuple(_parse_frame(one) for one in form.frames))
    return ClipPrint(
        video, None if form.sound is msgspec.UNSET else SoundPrint(_parse_hex(form.sound))
    )


def _parse_frame(form: _FrameForm) -> FramePrint:
    inner = None if form.inner is msgspec.UNSET else _parse_hex(form.inner)
    return FramePrint(form.at_ms, _parse_hex(form.hex), form.quality, inner)


def _parse_hex(text: str) -> bytes:
    """Decode lower-case hexadecimal digits; raises ValueError for anything else."""
    data = bytes.fromhex(text)
    if data.hex() != text:  # upper case, or spaces in between
        raise ValueError("lower-case hexadecimal digits, nothing in between")
    return data
