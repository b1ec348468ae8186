"""Linking a device: the link code, the messages and their encryption (docs/spec/devices.md section
2).
"""

from itertools import pairwise
from typing import Any, Final

from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.limits import DEVICES_MAX, PLAIN_KEY_BUNDLE_BYTES_MAX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.hpke import open_sealed, seal_to
from entrenous.send.devices.link_nouns import (
    BadLink,
    BadLinkCode,
    LinkAnswer,
    LinkCode,
    LinkGrant,
    LinkMessage,
    LinkRequest,
    LinkReveal,
    LinkStop,
    NewDeviceGrant,
    NewDeviceOffer,
)
from entrenous.send.devices.linked_devices import IntroducedDevice, LinkedDevice
from entrenous.send.formats.identity_formats import checked_encoded_text, read_prefixed_code
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_uint,
    bad_cbor_as,
    decode,
    encode,
    encode_checked,
    parse_optional,
)
from entrenous.wire.encodings import to_base64url
from entrenous.wire.text import as_name, as_relay_url

LINK_CODE_PREFIX: Final = "entrenous-link:2:"
_LINK_CODE_VERSION: Final = 2
_LINK_CODE_CHARS_MAX: Final = 1024
_LINK_MESSAGE_TYPE_BYTE: Final = b"\x4c"
_MESSAGE_LENGTH_FIELD_BYTES: Final = 4
_LETTER_OVERHEAD_BYTES: Final = 1145  # bytes; docs/spec/letter.md section 1
_ENVELOPE_SIZES_BYTES: Final = tuple(
    _LETTER_OVERHEAD_BYTES + 1024 * 2**power for power in range(1, 8)
)
_XWING_KEY_BYTES: Final = 1216
_SEALED_BYTES_MAX: Final = 128 * 1024


def write_link_code(code: LinkCode) -> str:
    """Encode a link code. Anybody who has it can ask to be linked, so it must stay secret.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    fields = [_LINK_CODE_VERSION, code.relay_url, code.mailbox, code.token.reveal()]
    return checked_encoded_text(LINK_CODE_PREFIX + to_base64url(encode(fields)), read_link_code)


def read_link_code(untrusted_code: str) -> LinkCode:
    """Decode a link code.

    Raises:
        BadLinkCode: not a complete code of this version.
    """
    with bad_cbor_as(BadLinkCode):
        fields = read_prefixed_code(untrusted_code, LINK_CODE_PREFIX, _LINK_CODE_CHARS_MAX)
        version, relay_url, mailbox, token = as_list(fields, 4, 4)
        as_uint(version, _LINK_CODE_VERSION, _LINK_CODE_VERSION)
        return LinkCode(
            relay_url=as_relay_url(relay_url),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            token=Secret(as_bytes(token, TOKEN_BYTES)),
        )


def write_link_message(message: LinkMessage) -> bytes:
    """Encode a message; the transcript identifies it by its hash.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return encode_checked(_message_fields(message), read_link_message)


def read_link_message(untrusted: bytes) -> LinkMessage:
    """Decode a message, without verifying it.

    Raises:
        BadLink: not a link message.
    """
    with bad_cbor_as(BadLink):
        step, *fields = as_list(decode(untrusted), 2, 4)
        return _LINK_MESSAGE_PARSERS[as_uint(step, len(_LINK_MESSAGE_PARSERS), 1) - 1](fields)


def pad_link_message(message: bytes) -> bytes:
    """Pad a message to one of the sizes that letters have, for its envelope.

    Raises:
        ValueError: the message is too long.
    """
    whole = (
        _LINK_MESSAGE_TYPE_BYTE
        + len(message).to_bytes(_MESSAGE_LENGTH_FIELD_BYTES, "big")
        + message
    )
    size = next((one for one in _ENVELOPE_SIZES_BYTES if one >= len(whole)), None)
    if size is None:
        raise ValueError("a message of a linking fits an envelope")
    return whole.ljust(size, b"\0")


def unpad_link_message(untrusted: bytes) -> bytes:
    """Extract the message from an envelope.

    Raises:
        BadLink: the envelope has no message of a linking, or is not padded as specified.
    """
    begin = len(_LINK_MESSAGE_TYPE_BYTE) + _MESSAGE_LENGTH_FIELD_BYTES
    end = begin + int.from_bytes(untrusted[len(_LINK_MESSAGE_TYPE_BYTE) : begin], "big")
    if not untrusted.startswith(_LINK_MESSAGE_TYPE_BYTE) or len(untrusted) < end:
        raise BadLink
    message = untrusted[begin:end]
    if len(message) > _ENVELOPE_SIZES_BYTES[-1] - begin or pad_link_message(message) != untrusted:
        raise BadLink
    return message


def _message_fields(message: LinkMessage) -> list[object]:
    match message:
        case LinkRequest():
            return [1, message.mailbox, message.token.reveal(), message.promise]
        case LinkAnswer():
            return [2, message.public, message.seal_to]
        case LinkReveal():
            return [3, message.public, message.sealed_offer]
        case LinkGrant():
            return [4, message.sealed]
        case LinkStop():
            return [5, message.promise]


def _parse_request(fields: list[Any]) -> LinkRequest:
    mailbox, token, promise = as_list(fields, 3, 3)
    return LinkRequest(
        mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
        token=Secret(as_bytes(token, TOKEN_BYTES)),
        promise=as_bytes(promise, 32),
    )


def _parse_answer(fields: list[Any]) -> LinkAnswer:
    public, seal_to = as_list(fields, 2, 2)
    return LinkAnswer(as_bytes(public, 32), as_bytes(seal_to, _XWING_KEY_BYTES))


def _parse_reveal(fields: list[Any]) -> LinkReveal:
    public, sealed = as_list(fields, 2, 2)
    return LinkReveal(as_bytes(public, 32), as_bytes_up_to(sealed, _SEALED_BYTES_MAX))


def _parse_grant(fields: list[Any]) -> LinkGrant:
    (sealed,) = as_list(fields, 1, 1)
    return LinkGrant(as_bytes_up_to(sealed, _SEALED_BYTES_MAX))


def _parse_stop(fields: list[Any]) -> LinkStop:
    (promise,) = as_list(fields, 1, 1)
    return LinkStop(as_bytes(promise, 32))


_LINK_MESSAGE_PARSERS: Final = (
    _parse_request,
    _parse_answer,
    _parse_reveal,
    _parse_grant,
    _parse_stop,
)


_MASTER_KEY_BYTES: Final = 64
_ENFORCED_LIMITS_MAX: Final = 16
_LENT_TOKENS_SENT_MAX: Final = 8


def write_offer(offer: NewDeviceOffer) -> bytes:
    """Encode the description of the new device.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return encode_checked(
        [
            *(offer.ed25519, offer.curve25519, offer.mldsa65_hash),
            *(offer.device, list(offer.enforces)),
            *(offer.seal_to, offer.mailbox, offer.close.reveal(), offer.name),
        ],
        read_offer,
    )


def read_offer(untrusted: bytes) -> NewDeviceOffer:
    """Decode the new device's description of itself.

    Raises:
        BadLink: not an offer.
    """
    with bad_cbor_as(BadLink):
        ed25519, curve25519, mldsa65, device, enforces, seal_to, mailbox, close, name = as_list(
            decode(untrusted), 9, 9
        )
        return NewDeviceOffer(
            ed25519=as_bytes(ed25519, 32),
            curve25519=as_bytes(curve25519, 32),
            mldsa65_hash=as_bytes(mldsa65, 32),
            device=DeviceId(as_bytes(device, ID_BYTES)),
            enforces=_parse_enforced_limits(enforces),
            seal_to=as_bytes(seal_to, _XWING_KEY_BYTES),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            close=_parse_token(close),
            name=parse_optional(name, as_name),
        )


def write_grant(grant: NewDeviceGrant) -> bytes:
    """Encode the data that the new device is given.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    master = None if grant.master is None else grant.master.reveal()
    linked_devices = [_introduced_device_fields(one) for one in grant.linked_devices]
    return encode_checked([grant.card, master, grant.name, linked_devices, grant.proof], read_grant)


def read_grant(untrusted: bytes) -> NewDeviceGrant:
    """Decode the data that the old device gives, without verifying it.

    Raises:
        BadLink: not a grant.
    """
    with bad_cbor_as(BadLink):
        card, master, name, linked_devices, proof = as_list(decode(untrusted), 5, 5)
        return NewDeviceGrant(
            card=as_bytes_up_to(card, PLAIN_KEY_BUNDLE_BYTES_MAX),
            master=parse_optional(master, _parse_master_key),
            name=as_name(name),
            linked_devices=tuple(
                map(_parse_introduced_device, as_list(linked_devices, 1, DEVICES_MAX))
            ),
            proof=as_bytes(proof, 32),
        )


def lent_token_fields(lent: tuple[LentToken, ...]) -> list[object]:
    return [[one.index, one.token.reveal()] for one in lent]


def parse_lent_tokens(value: object) -> tuple[LentToken, ...]:
    """Read tokens lent by another device of ours."""
    pairs = (as_list(entry, 2, 2) for entry in as_list(value, 0, _LENT_TOKENS_SENT_MAX))
    return tuple(LentToken(as_uint(index), _parse_token(token)) for index, token in pairs)


def _introduced_device_fields(introduced: IntroducedDevice) -> list[object]:
    close = None if introduced.linked.close is None else introduced.linked.close.reveal()
    return [
        introduced.linked.device,
        introduced.linked.name,
        close,
        lent_token_fields(introduced.lent),
    ]


def _parse_introduced_device(entry: Any) -> IntroducedDevice:
    device, name, close, lent = as_list(entry, 4, 4)
    linked = LinkedDevice(
        device=DeviceId(as_bytes(device, ID_BYTES)),
        name=as_name(name),
        close=parse_optional(close, _parse_token),
    )
    return IntroducedDevice(linked, parse_lent_tokens(lent))


def _parse_enforced_limits(value: object) -> tuple[int, ...]:
    numbers = tuple(map(as_uint, as_list(value, 0, _ENFORCED_LIMITS_MAX)))
    if any(one >= after for one, after in pairwise(numbers)):
        raise BadCbor
    return numbers


def _parse_master_key(value: object) -> Secret:
    return Secret(as_bytes(value, _MASTER_KEY_BYTES))


def _parse_token(value: object) -> Secret:
    return Secret(as_bytes(value, TOKEN_BYTES))


_COMMITMENT_LABEL: Final = b"entrenous/2 link commit\x00"
_TRANSCRIPT_LABEL: Final = b"entrenous/2 link\x00"
_OFFER_LABEL: Final = b"entrenous/2 link offer\x00"
_GRANT_LABEL: Final = b"entrenous/2 link grant\x00"


def link_commitment(public: bytes, offer: bytes) -> bytes:
    """Return the commitment (32 bytes) to a key and an offer, for the first message.

    The offer has a token of 32 random bytes, so it cannot be guessed from the hash.
    """
    return sha256(_COMMITMENT_LABEL + public + offer)


def link_transcript(ask: bytes, answer: bytes) -> bytes:
    """Return the transcript: a label, and the hashes of the first two messages as they were sent.

    The third message is left out. The first message commits to the key and the offer in the third
    message, but not to the encryption of the offer. If the third message were included, an attacker
    could encrypt the offer again and again until the comparison strings match.
    """
    return _TRANSCRIPT_LABEL + sha256(ask) + sha256(answer)


def seal_offer(to: bytes, ask: bytes, answer: bytes, offer: bytes) -> bytes:
    """Encrypt the offer for the device that sent ``answer``.

    Raises:
        BadKey: ``to`` is not an X-Wing key.
    """
    return seal_to(to, _offer_context(ask, answer), offer)


def open_offer(private: Secret, ask: bytes, answer: bytes, untrusted: bytes) -> bytes:
    """Decrypt the offer, which is not trusted until it matches the commitment.

    Raises:
        NotForThisMailbox: the offer was sealed to another key or for another linking, or changed.
    """
    return open_sealed(private, _offer_context(ask, answer), untrusted)


def seal_grant(to: bytes, transcript: bytes, grant: bytes) -> bytes:
    """Encrypt the grant for the device of the offer.

    Raises:
        BadKey: ``to`` is not an X-Wing key.
    """
    return seal_to(to, _GRANT_LABEL + sha256(transcript), grant)


def open_grant(private: Secret, transcript: bytes, untrusted: bytes) -> bytes:
    """Decrypt the grant.

    Raises:
        NotForThisMailbox: it is for another device or another linking.
    """
    return open_sealed(private, _GRANT_LABEL + sha256(transcript), untrusted)


def _offer_context(ask: bytes, answer: bytes) -> bytes:
    return _OFFER_LABEL + sha256(ask) + sha256(answer)
