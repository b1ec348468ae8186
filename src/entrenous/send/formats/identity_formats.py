"""Signed prekeys as CBOR; invite links and recovery sheets, which people copy by hand
(docs/spec/identity.md, sections 5 and 6; lock.md, section 6).
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from entrenous.base.errors import Malformed, NotUnderstood
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BadPrekey,
    BatchPosition,
    Prekey,
    PrekeyKind,
    SignedBatch,
    SignedPrekey,
)
from entrenous.base.limits import PREKEY_BYTES_MAX, PREKEY_ID_BYTES, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.device.recovery_sheet import NotARecoverySheet, RecoverySheet
from entrenous.send.people.people_nouns import BadInvite, Invite
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_time,
    as_uint,
    bad_cbor_as,
    decode,
    encode,
    encode_checked,
    parse_optional,
    to_unix_seconds,
)
from entrenous.wire.encodings import from_base64url, to_base64url
from entrenous.wire.key_bundle import (
    as_position,
    as_signed_batch,
    position_fields,
    signed_batch_fields,
)
from entrenous.wire.text import as_name, as_relay_url

_PUBLIC_KEY_BYTES_BY_KIND: Final = {
    PrekeyKind.ONE_TIME: 32,
    PrekeyKind.FALLBACK: 32,
    PrekeyKind.XWING: 1216,
}


def write_prekey_statement(prekey: Prekey) -> bytes:
    """Encode the statement whose hash is a leaf in the batch that a device signs.

    Raises:
        ValueError: a field does not have the length of its kind.
    """
    fields = [
        int(prekey.kind),
        prekey.id,
        prekey.device,
        prekey.epoch,
        prekey.head,
        to_unix_seconds(prekey.made_at),
        prekey.public,
    ]
    return encode_checked(fields, _parse_prekey_statement)


def write_prekey(statement: bytes, position: BatchPosition, batch: SignedBatch | None) -> bytes:
    """Encode a prekey as the relay hands it out: its statement, its place in its batch, and for an
    X-Wing prekey the signed batch.

    Raises:
        ValueError: the statement is invalid, a field does not have the length of its kind, or
            ``batch`` does not fit the kind.
    """
    signed = None if batch is None else signed_batch_fields(batch)
    return encode_checked([statement, *position_fields(position), signed], read_prekey)


def read_prekey(untrusted: bytes) -> SignedPrekey:
    """Decode a signed prekey, without verifying it.

    Raises:
        BadPrekey: not a prekey of this version.
    """
    with bad_cbor_as(BadPrekey):
        if len(untrusted) > PREKEY_BYTES_MAX:
            raise BadCbor
        statement, index, path, signed = as_list(decode(untrusted), 4, 4)
        prekey = _parse_prekey_statement(as_bytes_up_to(statement, PREKEY_BYTES_MAX))
        batch = parse_optional(signed, as_signed_batch)
        if (batch is None) == (prekey.kind is PrekeyKind.XWING):
            raise BadCbor
        return SignedPrekey(prekey, statement, as_position(index, path), batch)


def _parse_prekey_statement(encoded: bytes) -> Prekey:
    kind, key_id, device, epoch, head, made_at, public = as_list(decode(encoded), 7, 7)
    known = PrekeyKind(as_uint(kind, max(PrekeyKind), min(PrekeyKind)))
    return Prekey(
        kind=known,
        id=as_bytes(key_id, PREKEY_ID_BYTES),
        device=DeviceId(as_bytes(device, ID_BYTES)),
        epoch=as_uint(epoch, least=1),
        head=as_bytes(head, 32),
        made_at=as_time(made_at),
        public=as_bytes(public, _PUBLIC_KEY_BYTES_BY_KIND[known]),
    )


INVITE_PREFIX: Final = "entrenous:1:"
INVITE_LINK_CHARS_MAX: Final = 1024
_INVITE_VERSION: Final = 1


def write_invite_link(invite: Invite) -> str:
    """Encode an invite link. It holds a token, so only the invited person may see it.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    fields = [invite.name, invite.relay_url, invite.mailbox, invite.person, invite.token.reveal()]
    return checked_encoded_text(
        INVITE_PREFIX + to_base64url(encode([_INVITE_VERSION, *fields])), read_invite_link
    )


def read_invite_link(untrusted_link: str) -> Invite:
    """Decode an invite link.

    Raises:
        BadInvite: not a complete link of this version.
    """
    with bad_cbor_as(BadInvite):
        fields = read_prefixed_code(untrusted_link, INVITE_PREFIX, INVITE_LINK_CHARS_MAX)
        version, name, relay_url, mailbox, person, token = as_list(fields, 6, 6)
        as_uint(version, _INVITE_VERSION, _INVITE_VERSION)
        return Invite(
            name=as_name(name),
            relay_url=as_relay_url(relay_url),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            person=PersonId(as_bytes(person, 32)),
            token=Secret(as_bytes(token, 32)),
        )


def checked_encoded_text(text: str, read: Callable[[str], object]) -> str:
    """Return ``text``, which was just encoded, after checking that it can be decoded.

    Raises:
        ValueError: a field of ``text`` is not what the specification allows.
    """
    try:
        read(text)
    except Malformed:
        raise ValueError("a field of this text is not what the specification allows") from None
    return text


def read_prefixed_code(untrusted_text: str, prefix: str, chars_max: int) -> Any:
    """Decode CBOR in base64url behind a prefix; raises BadCbor."""
    if not untrusted_text.startswith(prefix) or len(untrusted_text) > chars_max:
        raise BadCbor
    return decode(decode_base64url_code(untrusted_text.removeprefix(prefix)))


def decode_base64url_code(untrusted_code: str) -> bytes:
    """Decode base64url; raises BadCbor."""
    try:
        return from_base64url(untrusted_code)
    except NotUnderstood:
        raise BadCbor from None


_SHEET_PREFIX: Final = "entrenous-recovery:2:"
_SHEET_VERSION: Final = 2
_SHEET_CHARS_MAX: Final = 4096
_SHEET_CODE_PATTERN: Final = re.compile(r"entrenous-recovery:2:([\w-]+(?:\s+[\w-]+)*)", re.ASCII)
_CHECKSUM_BYTES: Final = 4
_CHARACTERS_PER_SHEET_LINE: Final = (
    64  # characters per line, so that a person can compare and type it
)


def write_sheet(sheet: RecoverySheet) -> str:
    """Encode a recovery sheet in lines.

    It decrypts nothing by itself, but whoever has it can act as the person.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    fields = [
        *(_SHEET_VERSION, sheet.person, sheet.master.reveal(), sheet.relay_url, sheet.mailbox),
        *(sheet.close.reveal(), sheet.output.reveal()),
    ]
    code = to_base64url(encode([*fields, _checksum(fields)]))
    lines = [
        code[at : at + _CHARACTERS_PER_SHEET_LINE]
        for at in range(0, len(code), _CHARACTERS_PER_SHEET_LINE)
    ]
    return checked_encoded_text("\n".join([_SHEET_PREFIX + lines[0], *lines[1:], ""]), read_sheet)


def read_sheet(untrusted_text: str) -> RecoverySheet:
    """Decode a recovery sheet; ignore text before its code, and line ends within it.

    Raises:
        NotARecoverySheet: the text holds no complete code.
    """
    found = _SHEET_CODE_PATTERN.search(untrusted_text)
    if found is None or len(untrusted_text) > _SHEET_CHARS_MAX:
        raise NotARecoverySheet
    with bad_cbor_as(NotARecoverySheet):
        *fields, check = as_list(decode(decode_base64url_code("".join(found[1].split()))), 8, 8)
        if as_bytes(check, _CHECKSUM_BYTES) != _checksum(fields):
            raise NotARecoverySheet
        return _parse_sheet(fields)


def _parse_sheet(fields: list[Any]) -> RecoverySheet:
    version, person, master, relay_url, mailbox, close, output = fields
    as_uint(version, _SHEET_VERSION, _SHEET_VERSION)
    return RecoverySheet(
        person=PersonId(as_bytes(person, 32)),
        master=Secret(as_bytes(master, 64)),
        relay_url=as_relay_url(relay_url),
        mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
        close=Secret(as_bytes(close, TOKEN_BYTES)),
        output=Secret(as_bytes(output, 64)),
    )


def _checksum(fields: list[Any]) -> bytes:
    """Return a checksum that detects typing errors; it is no protection against attackers."""
    return hashlib.sha256(encode(fields)).digest()[:_CHECKSUM_BYTES]
