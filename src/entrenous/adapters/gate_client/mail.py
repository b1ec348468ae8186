"""The files in a mail message (RFC 5322 with MIME, RFC 2045), one by one.

Mail programs mend what is odd, each in its own way. What stands in a part can only be asked about
where all of them would find the same bytes; any other part is handed on as one that can't be read.
"""

import binascii
import email
import email.policy
import quopri
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Final

from entrenous.adapters.gate_client.kind import is_media
from entrenous.model.errors import Malformed

PARTS_MAX: Final = 500
_MEDIA: Final = ("image", "video", "audio")
_CODING: Final = "Content-Transfer-Encoding"
_ITSELF: Final = frozenset(("7bit", "8bit", "binary"))  # RFC 2045, section 6.2: not encoded
_ONCE: Final = (_CODING, "Content-Type")


class NotAMail(Malformed):
    """
    This is not a mail message: it has no header lines, or its parts can't be told apart. Nothing
    was asked. Give the whole message as it was received, with its headers.
    """


class OddPart(Exception):
    """Two mail programs could find different bytes here; never leaves this module."""


@dataclass(frozen=True, slots=True)
class MailFile:
    """One file; its bytes are None when the part can't be read with certainty.

    ``says_media``: the message calls it a picture, video or sound.
    """

    untrusted_data: bytes | None
    says_media: bool = False


def media_in(untrusted_mail: bytes) -> list[MailFile]:
    """Every picture, video and sound in a message: by its type, by its first bytes, or because it
    is a file; and every part that can't be read, whatever it may be.

    Messages within the message are opened; archives, and what is encrypted, are not.

    Raises:
        NotAMail.
    """
    try:
        message = email.message_from_bytes(untrusted_mail, policy=email.policy.compat32)
        parts = list(message.walk())
        found = list(_found(parts[: 2 * PARTS_MAX + 1]))
    except (RecursionError, ValueError, LookupError):
        raise NotAMail from None
    if not message.keys() or sum(not part.is_multipart() for part in parts) > PARTS_MAX:
        raise NotAMail
    if len(parts) > 2 * PARTS_MAX:
        raise NotAMail
    return found


def _found(parts: list[Message]) -> Iterator[MailFile]:
    for part in parts:
        says_media = part.get_content_maintype() in _MEDIA
        try:
            data = _content(part)
        except OddPart:
            yield MailFile(None, says_media=says_media)
            continue
        if data and (says_media or part.get_filename() is not None or is_media(data)):
            yield MailFile(data, says_media=says_media)


def _content(part: Message) -> bytes:
    """A part's own bytes, none for one that holds other parts; raises OddPart."""
    if part.defects or any(len(part.get_all(name, ())) > 1 for name in _ONCE):
        raise OddPart
    coding = str(part.get(_CODING, "7bit")).strip().lower()
    is_container = part.get_content_maintype() in ("multipart", "message")
    if is_container and (coding not in _ITSELF or not part.is_multipart()):
        raise OddPart  # RFC 2046, sections 5.1 and 5.2: never encoded, never without parts
    if part.get_content_type() == "message/partial":
        raise OddPart  # the rest of it is in another message
    if is_container:
        return b""
    del part[_CODING]  # so that the library hands out what stands there
    raw = part.get_payload(decode=True)
    return _decoded(raw, coding) if isinstance(raw, bytes) else b""


def _decoded(raw: bytes, coding: str) -> bytes:
    if coding in _ITSELF:
        return raw
    if coding == "quoted-printable":
        return quopri.decodestring(raw)
    if coding != "base64":
        raise OddPart
    try:
        return binascii.a2b_base64(b"".join(raw.split()), strict_mode=True)
    except binascii.Error:
        raise OddPart from None
