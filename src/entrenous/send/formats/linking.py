"""Linking a device: link codes, the messages, and their encryption (docs/spec/devices.md section
2).
"""

from itertools import pairwise
from typing import Any, Final

from entrenous.base.errors import NotUnderstood
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.limits import DEVICES_MAX, PLAIN_CARD_BYTES_MAX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.hpke import open_with, seal_to
from entrenous.send.devices.link_nouns import (
    BadLink,
    BadLinkCode,
    Grant,
    LinkAnswer,
    LinkAsk,
    LinkCode,
    LinkGrant,
    LinkMessage,
    LinkShow,
    LinkStop,
    Offer,
)
from entrenous.send.devices.linked_devices import Introduced, Sibling
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_uint,
    decode,
    encode,
    named,
    unless_null,
    written,
)
from entrenous.wire.encodings import from_base64url, to_base64url
from entrenous.wire.text import as_name, as_url

PREFIX: Final = "entrenous-link:2:"
_VERSION: Final = 2
_CHARS_MAX: Final = 1024
_FIRST: Final = b"\x4c"
_LENGTH_BYTES: Final = 4
_AROUND: Final = 1145  # what a letter has around its padded inside; docs/spec/letter.md section 1
_SIZES: Final = tuple(_AROUND + 1024 * 2**power for power in range(1, 8))
_XWING_BYTES: Final = 1216
_SEALED_MAX: Final = 128 * 1024


def write_link_code(code: LinkCode) -> str:
    """The code; whoever has it can ask to be linked, so it is shown to nobody else.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    fields = [_VERSION, code.relay_url, code.mailbox, code.token.reveal()]
    text = PREFIX + to_base64url(encode(fields))
    try:
        read_link_code(text)
    except BadLinkCode:
        raise ValueError("a field of this code is not what the specification allows") from None
    return text


def read_link_code(untrusted_code: str) -> LinkCode:
    """What a code holds.

    Raises:
        BadLinkCode: not a whole code of this version.
    """
    with named(BadLinkCode):
        if not untrusted_code.startswith(PREFIX) or len(untrusted_code) > _CHARS_MAX:
            raise BadCbor
        version, relay_url, mailbox, token = as_list(decode(_bytes(untrusted_code)), 4, 4)
        as_uint(version, _VERSION, _VERSION)
        return LinkCode(
            relay_url=as_url(relay_url),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            token=Secret(as_bytes(token, TOKEN_BYTES)),
        )


def write_link_message(message: LinkMessage) -> bytes:
    """One message; its hash is what the transcript names it by.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    encoded = encode(_plain(message))
    try:
        read_link_message(encoded)
    except BadLink:
        raise ValueError("a field of this message is not what the specification allows") from None
    return encoded


def read_link_message(untrusted: bytes) -> LinkMessage:
    """One message; unproven.

    Raises:
        BadLink: it is none.
    """
    with named(BadLink):
        step, *fields = as_list(decode(untrusted), 2, 4)
        return _READ[as_uint(step, len(_READ), 1) - 1](fields)


def padded_link(message: bytes) -> bytes:
    """A message as it lies in an envelope, of a size that letters have too.

    Raises:
        ValueError: it fits none.
    """
    whole = _FIRST + len(message).to_bytes(_LENGTH_BYTES, "big") + message
    size = next((one for one in _SIZES if one >= len(whole)), None)
    if size is None:
        raise ValueError("a message of a linking fits an envelope")
    return whole.ljust(size, b"\0")


def unpadded_link(untrusted: bytes) -> bytes:
    """The message in an envelope.

    Raises:
        BadLink: there is none in it.
    """
    begin = len(_FIRST) + _LENGTH_BYTES
    end = begin + int.from_bytes(untrusted[len(_FIRST) : begin], "big")
    if not untrusted.startswith(_FIRST) or len(untrusted) < end:
        raise BadLink
    message = untrusted[begin:end]
    if len(message) > _SIZES[-1] - begin or padded_link(message) != untrusted:
        raise BadLink
    return message


def _plain(message: LinkMessage) -> list[object]:
    match message:
        case LinkAsk():
            return [1, message.mailbox, message.token.reveal(), message.promise]
        case LinkAnswer():
            return [2, message.public, message.seal_to]
        case LinkShow():
            return [3, message.public, message.sealed_offer]
        case LinkGrant():
            return [4, message.sealed]
        case LinkStop():
            return [5, message.promise]


def _ask(fields: list[Any]) -> LinkAsk:
    mailbox, token, promise = as_list(fields, 3, 3)
    return LinkAsk(
        mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
        token=Secret(as_bytes(token, TOKEN_BYTES)),
        promise=as_bytes(promise, 32),
    )


def _answer(fields: list[Any]) -> LinkAnswer:
    public, seal_to = as_list(fields, 2, 2)
    return LinkAnswer(as_bytes(public, 32), as_bytes(seal_to, _XWING_BYTES))


def _show(fields: list[Any]) -> LinkShow:
    public, sealed = as_list(fields, 2, 2)
    return LinkShow(as_bytes(public, 32), as_blob(sealed, _SEALED_MAX))


def _grant(fields: list[Any]) -> LinkGrant:
    (sealed,) = as_list(fields, 1, 1)
    return LinkGrant(as_blob(sealed, _SEALED_MAX))


def _stop(fields: list[Any]) -> LinkStop:
    (promise,) = as_list(fields, 1, 1)
    return LinkStop(as_bytes(promise, 32))


_READ: Final = (_ask, _answer, _show, _grant, _stop)


def _bytes(untrusted_code: str) -> bytes:
    try:
        return from_base64url(untrusted_code.removeprefix(PREFIX))
    except NotUnderstood:
        raise BadCbor from None


_MASTER_BYTES: Final = 64
_ENFORCES_MAX: Final = 16
_LENT_MAX: Final = 8


def write_offer(offer: Offer) -> bytes:
    """What the new device is.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        [
            *(offer.ed25519, offer.curve25519, offer.mldsa65_hash),
            *(offer.device, list(offer.enforces)),
            *(offer.seal_to, offer.mailbox, offer.close.reveal(), offer.name),
        ],
        read_offer,
    )


def read_offer(untrusted: bytes) -> Offer:
    """What the new device says that it is.

    Raises:
        BadLink: it is no offer.
    """
    with named(BadLink):
        ed25519, curve25519, mldsa65, device, enforces, seal_to, mailbox, close, name = as_list(
            decode(untrusted), 9, 9
        )
        return Offer(
            ed25519=as_bytes(ed25519, 32),
            curve25519=as_bytes(curve25519, 32),
            mldsa65_hash=as_bytes(mldsa65, 32),
            device=DeviceId(as_bytes(device, ID_BYTES)),
            enforces=_enforces(enforces),
            seal_to=as_bytes(seal_to, _XWING_BYTES),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            close=_token(close),
            name=unless_null(name, as_name),
        )


def write_grant(grant: Grant) -> bytes:
    """What the new device is given.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    master = None if grant.master is None else grant.master.reveal()
    siblings = [_parts_plain(one) for one in grant.siblings]
    return written([grant.card, master, grant.name, siblings, grant.proof], read_grant)


def read_grant(untrusted: bytes) -> Grant:
    """What the old device grants; unproven.

    Raises:
        BadLink: it is no grant.
    """
    with named(BadLink):
        card, master, name, siblings, proof = as_list(decode(untrusted), 5, 5)
        return Grant(
            card=as_blob(card, PLAIN_CARD_BYTES_MAX),
            master=unless_null(master, _master),
            name=as_name(name),
            siblings=tuple(map(_introduced, as_list(siblings, 1, DEVICES_MAX))),
            proof=as_bytes(proof, 32),
        )


def plain_lent(lent: tuple[LentToken, ...]) -> list[object]:
    """Tokens that are lent."""
    return [[one.index, one.token.reveal()] for one in lent]


def as_lent(value: object) -> tuple[LentToken, ...]:
    """Tokens that another device of ours lends us."""
    pairs = (as_list(entry, 2, 2) for entry in as_list(value, 0, _LENT_MAX))
    return tuple(LentToken(as_uint(index), _token(token)) for index, token in pairs)


def _parts_plain(one: Introduced) -> list[object]:
    close = None if one.sibling.close is None else one.sibling.close.reveal()
    return [one.sibling.device, one.sibling.name, close, plain_lent(one.lent)]


def _introduced(entry: Any) -> Introduced:
    device, name, close, lent = as_list(entry, 4, 4)
    sibling = Sibling(
        device=DeviceId(as_bytes(device, ID_BYTES)),
        name=as_name(name),
        close=unless_null(close, _token),
    )
    return Introduced(sibling, as_lent(lent))


def _enforces(value: object) -> tuple[int, ...]:
    numbers = tuple(map(as_uint, as_list(value, 0, _ENFORCES_MAX)))
    if any(one >= after for one, after in pairwise(numbers)):
        raise BadCbor
    return numbers


def _master(value: object) -> Secret:
    return Secret(as_bytes(value, _MASTER_BYTES))


def _token(value: object) -> Secret:
    return Secret(as_bytes(value, TOKEN_BYTES))


_PROMISE: Final = b"entrenous/2 link commit\x00"
_LINK: Final = b"entrenous/2 link\x00"
_OFFER: Final = b"entrenous/2 link offer\x00"
_GRANT: Final = b"entrenous/2 link grant\x00"


def link_promise(public: bytes, offer: bytes) -> bytes:
    """What says, before the old device has shown its key, which key and offer will come; 32 bytes.

    The offer holds a token of 32 random bytes, so nobody finds it from its hash.
    """
    return sha256(_PROMISE + public + offer)


def link_transcript(ask: bytes, answer: bytes) -> bytes:
    """What both devices saw, from the first two messages as they travelled.

    The third is not in it: its key and its offer were promised in the first, and how the offer is
    sealed was not, so whoever seals it anew until the strings fit would have as many guesses as she
    likes.
    """
    return _LINK + sha256(ask) + sha256(answer)


def seal_offer(to: bytes, ask: bytes, answer: bytes, offer: bytes) -> bytes:
    """The offer, for whoever gave ``answer``.

    Raises:
        BadKey: ``to`` is no X-Wing key.
    """
    return seal_to(to, _offered(ask, answer), offer)


def open_offer(private: Secret, ask: bytes, answer: bytes, untrusted: bytes) -> bytes:
    """The offer; unproven before it is what was promised.

    Raises:
        NotBound: it was sealed to another key, or after other messages.
    """
    return open_with(private, _offered(ask, answer), untrusted)


def seal_grant(to: bytes, transcript: bytes, grant: bytes) -> bytes:
    """The grant, for the device of the offer.

    Raises:
        BadKey: ``to`` is no X-Wing key.
    """
    return seal_to(to, _GRANT + sha256(transcript), grant)


def open_grant(private: Secret, transcript: bytes, untrusted: bytes) -> bytes:
    """The grant.

    Raises:
        NotBound: it is for another device, or of another linking.
    """
    return open_with(private, _GRANT + sha256(transcript), untrusted)


def _offered(ask: bytes, answer: bytes) -> bytes:
    return _OFFER + sha256(ask) + sha256(answer)
