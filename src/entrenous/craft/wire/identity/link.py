"""Link codes, and the messages of a linking (docs/spec/devices.md section 2)."""

from typing import Any, Final

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_uint,
    decode,
    encode,
    named,
)
from entrenous.craft.wire.text import as_url
from entrenous.model.ids import ID_BYTES, MailboxId
from entrenous.model.link import (
    BadLink,
    BadLinkCode,
    LinkAnswer,
    LinkAsk,
    LinkCode,
    LinkGrant,
    LinkMessage,
    LinkShow,
    LinkStop,
)
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.secret import Secret
from entrenous.spec import TOKEN_BYTES

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
    text = PREFIX + b64u(encode(fields))
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
        return unb64u(untrusted_code.removeprefix(PREFIX))
    except NotUnderstood:
        raise BadCbor from None
