"""Recovery sheets as text (docs/spec/lock.md section 6)."""

import hashlib
import re
from typing import Any, Final

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.cbor import as_bytes, as_list, as_uint, decode, encode, named
from entrenous.craft.wire.text import as_url
from entrenous.model.ids import ID_BYTES, MailboxId, PersonId
from entrenous.model.recovery import NotASheet, RecoverySheet
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.secret import Secret
from entrenous.spec import TOKEN_BYTES

_PREFIX: Final = "entrenous-recovery:2:"
_VERSION: Final = 2
_CHARS_MAX: Final = 4096
_CODE: Final = re.compile(r"entrenous-recovery:2:([\w-]+(?:\s+[\w-]+)*)", re.ASCII)
_CHECK_BYTES: Final = 4
_GROUP: Final = 64  # characters of a line, so that a person can compare and type it


def write_sheet(sheet: RecoverySheet) -> str:
    """The code, in lines; it opens nothing by itself, but it is the person.

    Raises:
        ValueError: the relay's address is none.
    """
    before = [
        *(_VERSION, sheet.person, sheet.master.reveal(), sheet.relay_url, sheet.mailbox),
        *(sheet.close.reveal(), sheet.output.reveal()),
    ]
    code = b64u(encode([*before, _check(before)]))
    lines = [code[at : at + _GROUP] for at in range(0, len(code), _GROUP)]
    text = "\n".join([_PREFIX + lines[0], *lines[1:], ""])
    try:
        read_sheet(text)
    except NotASheet:
        raise ValueError("a field of this sheet is not what the specification allows") from None
    return text


def read_sheet(untrusted_text: str) -> RecoverySheet:
    """What a sheet holds; what stands before its code is passed over, and so are line ends in it.

    Raises:
        NotASheet: there is no whole code in it.
    """
    found = _CODE.search(untrusted_text)
    if found is None or len(untrusted_text) > _CHARS_MAX:
        raise NotASheet
    with named(NotASheet):
        *before, check = as_list(decode(_bytes("".join(found[1].split()))), 8, 8)
        if as_bytes(check, _CHECK_BYTES) != _check(before):
            raise NotASheet
        return _sheet(before)


def _sheet(fields: list[Any]) -> RecoverySheet:
    version, person, master, relay_url, mailbox, close, output = fields
    as_uint(version, _VERSION, _VERSION)
    return RecoverySheet(
        person=PersonId(as_bytes(person, 32)),
        master=Secret(as_bytes(master, 64)),
        relay_url=as_url(relay_url),
        mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
        close=Secret(as_bytes(close, TOKEN_BYTES)),
        output=Secret(as_bytes(output, 64)),
    )


def _check(before: list[Any]) -> bytes:
    """Finds a slip of the pen; whoever can write a sheet can write this too."""
    return hashlib.sha256(encode(before)).digest()[:_CHECK_BYTES]


def _bytes(untrusted_code: str) -> bytes:
    try:
        return unb64u(untrusted_code)
    except NotUnderstood:
        raise NotASheet from None
