"""Letters as CBOR: the outer address, the header, and the bodies other than messages
(docs/spec/letter.md).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from entrenous.base.copies import Receipt, ReceiptEvent, Receipts
from entrenous.base.identifiers import ID_BYTES, EnvelopeId, MessageId, PersonId
from entrenous.base.limits import (
    PLAIN_KEY_BUNDLE_BYTES_MAX,
    PREKEY_ID_BYTES,
    REACTION_BYTES_MAX,
    RECEIPTS_PER_LETTER_MAX,
    REQUEST_NOTE_CHARS_MAX,
    SEALED_LETTER_BYTES_MAX,
    TOKEN_RANGE_FIRST_INDEX_MAX,
)
from entrenous.base.screen_text import is_terminal_control
from entrenous.crypto.nouns import BadLetter
from entrenous.send.formats.message_format import (
    message_fields,
    parse_device_id,
    parse_hash,
    parse_message,
    parse_person_id,
    parse_secret,
)
from entrenous.send.letter.letter_nouns import (
    Body,
    ComparisonStep,
    ContactRequestNote,
    Header,
    Hello,
    KeyBundleNote,
    LetterAddress,
    Manifest,
    PublicXWingKey,
    Reaction,
    RecallNote,
    SyncNote,
    SyncTopic,
    TokenRangeNote,
    UnknownBody,
    UsedUpLinkNote,
)
from entrenous.send.people.people_nouns import ComparisonSide
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_map,
    as_text,
    as_time,
    as_uint,
    bad_cbor_as,
    decode,
    encode,
    encode_checked,
    parse_optional,
    to_unix_seconds,
)
from entrenous.wire.key_bundle import as_signed_batch, signed_batch_fields

_SYNC_BYTES_MAX: Final = 100 * 1024
_COMPARISON_STEPS_MAX: Final = 4
_COMPARISON_STEP_BYTES_MAX: Final = 96


def _parse_hello(value: object) -> Hello:
    card, seed, first, invite_lock = as_list(value, 4, 4)
    return Hello(
        _parse_encoded_key_bundle(card),
        parse_secret(seed),
        _parse_first_index(first),
        parse_optional(invite_lock, parse_hash),
    )


def _parse_sync(value: object) -> SyncNote:
    topic, data = as_list(value, 2, 2)
    known = SyncTopic(as_uint(topic, max(SyncTopic), min(SyncTopic)))
    return SyncNote(known, as_bytes_up_to(data, _SYNC_BYTES_MAX))


def _receipt_fields(receipts: Receipts) -> object:
    entries = [
        [int(one.event), one.message, one.envelope, to_unix_seconds(one.at), one.marks, one.leaf]
        for one in receipts.receipts
    ]
    return [entries, signed_batch_fields(receipts.batch)]


def _parse_receipts(value: object) -> Receipts:
    entries, batch = as_list(value, 2, 2)
    receipts = tuple(map(_parse_receipt, as_list(entries, 1, RECEIPTS_PER_LETTER_MAX)))
    return Receipts(receipts, as_signed_batch(batch))


def _parse_reaction(value: object) -> Reaction:
    sender, message, text = as_list(value, 3, 3)
    return Reaction(
        PersonId(parse_hash(sender)),
        _parse_message_id(message),
        parse_optional(text, _parse_reaction_text),
    )


def _parse_comparison_step(value: object) -> ComparisonStep:
    transaction, step, data = as_list(value, 3, 3)
    number = as_uint(step, _COMPARISON_STEPS_MAX, 1)
    return ComparisonStep(
        as_bytes(transaction, ID_BYTES), number, as_bytes_up_to(data, _COMPARISON_STEP_BYTES_MAX)
    )


def _parse_token_range(value: object) -> TokenRangeNote:
    seed, first = as_list(value, 2, 2)
    return TokenRangeNote(parse_secret(seed), _parse_first_index(first))


def _parse_request(value: object) -> ContactRequestNote:
    card, note = as_list(value, 2, 2)
    return ContactRequestNote(
        _parse_encoded_key_bundle(card),
        _require_no_terminal_controls(as_text(note, REQUEST_NOTE_CHARS_MAX)),
    )


def _parse_receipt(entry: Any) -> Receipt:
    event, message, envelope, at, marks, leaf = as_list(entry, 6, 6)
    return Receipt(
        event=ReceiptEvent(as_uint(event, max(ReceiptEvent), min(ReceiptEvent))),
        message=_parse_message_id(message),
        envelope=EnvelopeId(as_bytes(envelope, ID_BYTES)),
        at=as_time(at),
        marks=parse_hash(marks),
        leaf=parse_hash(leaf),
    )


def _parse_reaction_text(value: object) -> str:
    text = _require_no_terminal_controls(as_text(value, REACTION_BYTES_MAX))
    if not 1 <= len(text.encode()) <= REACTION_BYTES_MAX:
        raise BadCbor
    return text


def _require_no_terminal_controls(text: str) -> str:
    if any(map(is_terminal_control, text)):
        raise BadCbor
    return text


def _parse_encoded_key_bundle(value: object) -> bytes:
    return as_bytes_up_to(value, PLAIN_KEY_BUNDLE_BYTES_MAX)


def _parse_message_id(value: object) -> MessageId:
    return MessageId(as_bytes(value, ID_BYTES))


def _parse_first_index(value: object) -> int:
    """Read the first index, limited so that every index of the range can be encoded."""
    return as_uint(value, TOKEN_RANGE_FIRST_INDEX_MAX)


LETTER_VERSION: Final = 2
HPKE_SUITE: Final = 0x647A
_HPKE_INFO_LABEL: Final = "entrenous/2 letter"


def write_hpke_info(address: LetterAddress) -> bytes:
    """Encode the data that HPKE binds. Both ends know these data, so they are not sent.

    Raises:
        ValueError: a field does not have the length of its kind.
    """
    fields = [
        _HPKE_INFO_LABEL,
        LETTER_VERSION,
        HPKE_SUITE,
        address.to_person,
        address.to_device,
        address.key,
        address.from_person,
        address.from_device,
        address.epoch,
        address.head,
    ]
    return encode_checked(fields, _read_hpke_info)


def write_sealed_letter(key_id: bytes, sealed: bytes) -> bytes:
    """Encode an envelope's content: the version, the recipient's key id (8 bytes), the sealed
    bytes.

    Raises:
        ValueError: the key id has the wrong length.
    """
    if len(key_id) != PREKEY_ID_BYTES:
        raise ValueError("a key id has 8 bytes")
    return bytes([LETTER_VERSION]) + key_id + sealed


def read_sealed_letter(untrusted: bytes) -> tuple[bytes, bytes]:
    """Return the recipient's key id (8 bytes) and the sealed bytes for crypto/seal.py.

    Raises:
        BadLetter: the version is not supported, or the length is impossible.
    """
    if (
        not 1 + PREKEY_ID_BYTES < len(untrusted) <= SEALED_LETTER_BYTES_MAX
        or untrusted[0] != LETTER_VERSION
    ):
        raise BadLetter
    return untrusted[1 : 1 + PREKEY_ID_BYTES], untrusted[1 + PREKEY_ID_BYTES :]


def write_header(header: Header) -> bytes:
    """Encode a header.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return encode_checked(
        {
            1: LETTER_VERSION,
            2: header.from_person,
            3: header.from_device,
            4: header.to_person,
            5: header.to_device,
            6: [header.from_epoch, header.to_epoch],
            7: header.prekey,
            8: header.message,
            9: header.counter,
            10: [header.next_key.id, header.next_key.public],
            11: header.curve25519,
            12: [header.envelope, header.body_sha256],
            13: [header.from_head, header.to_head],
            14: header.token,
        },
        read_header,
    )


def read_header(untrusted: bytes) -> Header:
    """Decode a header; its sender is authenticated only when the inner seal is opened.

    Raises:
        BadLetter: not a header of this version.
    """
    with bad_cbor_as(BadLetter):
        fields = as_map(decode(untrusted), 14)
        as_uint(fields[1], LETTER_VERSION, LETTER_VERSION)
        from_epoch, to_epoch = as_list(fields[6], 2, 2)
        envelope, body_sha256 = as_list(fields[12], 2, 2)
        from_head, to_head = as_list(fields[13], 2, 2)
        return Header(
            from_person=parse_person_id(fields[2]),
            from_device=parse_device_id(fields[3]),
            to_person=parse_person_id(fields[4]),
            to_device=parse_device_id(fields[5]),
            from_epoch=as_uint(from_epoch, least=1),
            to_epoch=as_uint(to_epoch, least=1),
            prekey=parse_optional(fields[7], _parse_key_id),
            message=MessageId(as_bytes(fields[8], ID_BYTES)),
            counter=as_uint(fields[9], least=1),
            next_key=_parse_xwing_key(fields[10]),
            curve25519=as_bytes(fields[11], 32),
            envelope=EnvelopeId(as_bytes(envelope, ID_BYTES)),
            body_sha256=as_bytes(body_sha256, 32),
            from_head=as_bytes(from_head, 32),
            to_head=as_bytes(to_head, 32),
            token=parse_optional(fields[14], as_uint),
        )


def _read_hpke_info(encoded: bytes) -> LetterAddress:
    fields = as_list(decode(encoded), 10, 10)
    if fields[:3] != [_HPKE_INFO_LABEL, LETTER_VERSION, HPKE_SUITE] or encode(fields) != encoded:
        raise BadLetter
    return LetterAddress(
        to_person=parse_person_id(fields[3]),
        to_device=parse_device_id(fields[4]),
        key=_parse_key_id(fields[5]),
        epoch=as_uint(fields[8], least=1),
        head=as_bytes(fields[9], 32),
        from_person=parse_optional(fields[6], parse_person_id),
        from_device=parse_optional(fields[7], parse_device_id),
    )


def _parse_key_id(value: object) -> bytes:
    return as_bytes(value, PREKEY_ID_BYTES)


def _parse_xwing_key(value: Any) -> PublicXWingKey:
    key_id, public = as_list(value, 2, 2)
    return PublicXWingKey(_parse_key_id(key_id), as_bytes(public, 1216))


_BODY_KIND_MAX: Final = 2**16 - 1


class _BodyCodec(NamedTuple):
    """A kind of body: its class, and the functions that make and read its CBOR value."""

    body_type: type[Any]
    to_fields: Callable[[Any], object]
    read: Callable[[object], Body]


_BODY_CODECS: Final[Mapping[int, _BodyCodec]] = {
    1: _BodyCodec(
        Hello, lambda one: [one.card, one.seed.reveal(), one.first, one.invite_lock], _parse_hello
    ),
    2: _BodyCodec(Manifest, message_fields, parse_message),
    3: _BodyCodec(
        RecallNote, lambda one: one.message, lambda value: RecallNote(_parse_message_id(value))
    ),
    4: _BodyCodec(
        KeyBundleNote,
        lambda one: one.card,
        lambda value: KeyBundleNote(_parse_encoded_key_bundle(value)),
    ),
    5: _BodyCodec(SyncNote, lambda one: [int(one.topic), one.data], _parse_sync),
    6: _BodyCodec(Receipts, _receipt_fields, _parse_receipts),
    7: _BodyCodec(Reaction, lambda one: [one.sender, one.message, one.text], _parse_reaction),
    8: _BodyCodec(
        ComparisonStep, lambda one: [one.transaction, one.step, one.data], _parse_comparison_step
    ),
    9: _BodyCodec(TokenRangeNote, lambda one: [one.seed.reveal(), one.first], _parse_token_range),
    10: _BodyCodec(ContactRequestNote, lambda one: [one.card, one.note], _parse_request),
    11: _BodyCodec(
        UsedUpLinkNote,
        lambda one: one.invite_lock,
        lambda value: UsedUpLinkNote(parse_hash(value)),
    ),
}


def write_body(body: Body) -> bytes:
    """Encode a body.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return encode_checked(_body_fields(body), read_body)


def read_body(untrusted: bytes) -> Body:
    """Decode a body whose hash the caller has compared with the header; an unknown kind gives
    UnknownBody.

    Raises:
        BadLetter: not a body, or a body of a known kind in an invalid form.
    """
    with bad_cbor_as(BadLetter):
        number, value = as_list(decode(untrusted), 2, 2)
        kind = _BODY_CODECS.get(as_uint(number, _BODY_KIND_MAX, 1))
        return UnknownBody(number, encode(value)) if kind is None else kind.read(value)


def _body_fields(body: Body) -> list[object]:
    if isinstance(body, UnknownBody):
        return [body.kind, decode(body.value)]
    number = next(number for number, kind in _BODY_CODECS.items() if kind.body_type is type(body))
    return [number, _BODY_CODECS[number].to_fields(body)]


def write_comparison_transcript(
    transaction: bytes,
    starter: tuple[PersonId, ComparisonSide],
    other: tuple[PersonId, ComparisonSide],
) -> bytes:
    """Encode both sides' person, device, device list head and public key, the starter's first."""
    return encode([transaction, _side_fields(*starter), _side_fields(*other)])


def _side_fields(person: PersonId, half: ComparisonSide) -> list[bytes]:
    return [person, half.device, half.head, half.public]
