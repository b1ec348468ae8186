"""Messages as CBOR: the body with its manifest and audience, and the content of one copy.

The content is a message frame (the list of the files, and the text) and the files, all padded
(docs/spec/letter.md, section 6, and docs/spec/content.md, sections 1 to 3).
"""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, BinaryIO, Final, cast

from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, MessageId, MessageName, PersonId
from entrenous.base.limits import BLOBS_PER_ENVELOPE_MAX, FILES_PER_MESSAGE_MAX, TEXT_CHARS_MAX
from entrenous.base.screen_text import is_terminal_control
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobRef
from entrenous.send.letter.letter_nouns import (
    BadContent,
    FileRole,
    Manifest,
    MessageFileEntry,
    MessageFrame,
    MessageReference,
    PersonDeviceListHead,
)
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
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
from entrenous.wire.receipt import write_mark_commitments
from entrenous.wire.text import as_media_type, as_name, as_relay_url

_FIELD_NUMBER_MAX: Final = 15
_MANIFEST_FIELD_NUMBERS: Final = (*range(1, 6), *range(11, 16))


def write_manifest(manifest: Manifest) -> bytes:
    """Encode the manifest to which a content key is bound.

    It is a CBOR list of fields 1 to 5 and 11 to 15.
    """
    fields = message_fields(manifest)
    return encode([fields[key] for key in _MANIFEST_FIELD_NUMBERS])


def write_marks_hash_input(manifest: Manifest) -> bytes:
    """Encode the input of a marks hash: field 12 (docs/spec/content.md section 6)."""
    return write_mark_commitments(manifest.marks)


def message_fields(body: Manifest) -> dict[int, object]:
    return {
        1: body.name,
        2: to_unix_seconds(body.sent_at),
        3: None if body.expires_at is None else to_unix_seconds(body.expires_at),
        4: body.opens,
        5: [[person, device] for person, device in body.audience],
        6: body.secret.reveal(),
        7: [[blob.id, blob.size, blob.sha256] for blob in body.blobs],
        8: body.fetch_token.reveal(),
        9: body.open_token.reveal(),
        10: body.relay_url,
        11: [[one.person, one.epoch, one.head] for one in body.heads],
        12: list(body.marks),
        13: None if body.reply is None else [body.reply.sender, body.reply.message],
        14: body.circle,
        15: int(body.may_export),
    }


def parse_message(value: object) -> Manifest:
    """Read a message body.

    Raises:
        BadCbor: not a message body.
    """
    fields = as_map(value, _FIELD_NUMBER_MAX)
    blobs = tuple(map(_parse_blob, as_list(fields[7], 1, BLOBS_PER_ENVELOPE_MAX)))
    audience = _parse_audience(fields[5])
    return Manifest(
        name=MessageName(as_name(fields[1])),
        sent_at=as_time(fields[2]),
        expires_at=parse_optional(fields[3], as_time),
        opens=parse_optional(fields[4], _parse_opens),
        audience=audience,
        secret=parse_secret(fields[6]),
        blobs=blobs,
        fetch_token=parse_secret(fields[8]),
        open_token=parse_secret(fields[9]),
        relay_url=as_relay_url(fields[10]),
        heads=_parse_heads(fields[11], audience),
        marks=_parse_mark_commitments(fields[12], len(blobs) - 1),
        reply=parse_optional(fields[13], _parse_reply),
        circle=parse_optional(fields[14], _parse_id),
        may_export=_parse_may_export(fields[15], fields[4]),
    )


def _parse_mark_commitments(value: object, files: int) -> tuple[bytes | None, ...]:
    return tuple(parse_optional(one, parse_hash) for one in as_list(value, files, files))


def _parse_reply(value: object) -> MessageReference:
    sender, message = as_list(value, 2, 2)
    return MessageReference(PersonId(parse_hash(sender)), MessageId(_parse_id(message)))


def _parse_blob(entry: Any) -> BlobRef:
    blob, size, sha256 = as_list(entry, 3, 3)
    return BlobRef(BlobId(_parse_id(blob)), as_uint(size, least=1), parse_hash(sha256))


def _parse_opens(value: object) -> int:
    return as_uint(value, least=1)


def _parse_may_export(value: object, opens: object) -> bool:
    """Read field 15, which may be set only if openings are limited."""
    return bool(as_uint(value, 0 if opens is None else 1))


def parse_secret(value: object) -> Secret:
    """Read a secret of 32 bytes."""
    return Secret(parse_hash(value))


def parse_hash(value: object) -> bytes:
    """Read 32 bytes."""
    return as_bytes(value, 32)


def parse_person_id(value: object) -> PersonId:
    """Read 32 bytes."""
    return PersonId(as_bytes(value, 32))


def parse_device_id(value: object) -> DeviceId:
    """Read 16 bytes."""
    return DeviceId(as_bytes(value, ID_BYTES))


def _parse_id(value: object) -> bytes:
    return as_bytes(value, ID_BYTES)


_AUDIENCE_DEVICES_MAX: Final = 1024  # more do not fit into a letter
_Audience = tuple[tuple[PersonId, DeviceId], ...]


def _parse_audience(value: object) -> _Audience:
    """Read persons and devices, sorted without duplicates, so that all see the same list."""
    found = tuple(map(_parse_recipient, as_list(value, 1, _AUDIENCE_DEVICES_MAX)))
    _check_ascending(found)
    return found


def _parse_heads(value: object, audience: _Audience) -> tuple[PersonDeviceListHead, ...]:
    """Read one head for each person of the audience, sorted."""
    found = tuple(map(_parse_head, as_list(value, 1, _AUDIENCE_DEVICES_MAX)))
    _check_ascending([one.person for one in found])
    if {one.person for one in found} != {person for person, _ in audience}:
        raise BadCbor
    return found


def _check_ascending(found: Sequence[Any]) -> None:
    if any(one >= after for one, after in pairwise(found)):
        raise BadCbor


def _parse_recipient(entry: object) -> tuple[PersonId, DeviceId]:
    person, device = as_list(entry, 2, 2)
    return parse_person_id(person), parse_device_id(device)


def _parse_head(entry: object) -> PersonDeviceListHead:
    person, epoch, head = as_list(entry, 3, 3)
    return PersonDeviceListHead(parse_person_id(person), as_uint(epoch, least=1), parse_hash(head))


FRAME_VERSION: Final = 2
_PADDED_FILE_BYTES_MIN: Final = 4096
_FRAME_LENGTH_FIELD_BYTES: Final = 8


def write_frame(frame: MessageFrame) -> bytes:
    """Encode and pad blob 0, for crypto/encryption_at_rest.py.

    Raises:
        ValueError: more than 64 files, neither a file nor a text, an invalid media type, or a
            text that is too long or has control characters.
    """
    files = [[file.media_type, file.size, int(file.role)] for file in frame.files]
    encoded = encode_checked({1: FRAME_VERSION, 2: files, 3: frame.text}, _parse_frame)
    return _add_padding(len(encoded).to_bytes(_FRAME_LENGTH_FIELD_BYTES, "big") + encoded)


def read_frame(untrusted_padded: bytes) -> MessageFrame:
    """Decode a padded blob 0.

    Raises:
        BadContent: not a message frame of this version, or not padded exactly as specified.
    """
    with bad_cbor_as(BadContent):
        return _parse_frame(_remove_padding(untrusted_padded))


def _parse_frame(encoded: bytes) -> MessageFrame:
    fields = as_map(decode(encoded), 3)
    as_uint(fields[1], FRAME_VERSION, FRAME_VERSION)
    files = tuple(_parse_file(entry) for entry in as_list(fields[2], 0, FILES_PER_MESSAGE_MAX))
    text = parse_optional(fields[3], _parse_text)
    if not files and text is None:
        raise BadCbor
    return MessageFrame(files, text)


def padded_reader(data: bytes) -> BinaryIO:
    """Return a reader of the padded bytes of a file; the file is not copied.

    Raises:
        ValueError: the file is empty.
    """
    if not data:
        raise ValueError("a file of a message has at least one byte")
    return cast("BinaryIO", _PaddedReader(data))


class UnpaddingWriter:
    """Receives a padded blob and writes the file of ``size`` bytes in it to ``writer``.

    Raises:
        BadContent: wrong length, or non-zero padding; the output must then be discarded.
    """

    def __init__(self, writer: BinaryIO, size: int) -> None:
        if size < 1:
            raise BadContent
        self._writer, self._size, self._seen = writer, size, 0

    def write(self, data: bytes) -> int:
        """Pass on the file's bytes; raise BadContent if the padding is not zero."""
        file_part = data[: max(self._size - self._seen, 0)]
        if file_part:
            self._writer.write(file_part)
        self._seen += len(data)
        if data.count(0, len(file_part)) != len(data) - len(file_part):
            raise BadContent
        return len(data)

    def flush(self) -> None:
        self._writer.flush()

    def require_complete(self) -> None:
        """Raise BadContent unless the whole padded file was written."""
        if self._seen != padded_length(self._size):
            raise BadContent


def padded_length(length: int) -> int:
    """Return the Padmé length for ``length`` bytes, at least 4,096.

    Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
    PETS 2019, algorithm 1: above 4,096 bytes, the result is at most 12 % longer, and it reveals
    only O(log log length) bits.
    """
    exponent = max(length, _PADDED_FILE_BYTES_MIN).bit_length() - 1
    zeros = exponent - exponent.bit_length()
    mask = (1 << zeros) - 1
    return (max(length, _PADDED_FILE_BYTES_MIN) + mask) & ~mask


class _PaddedReader(io.RawIOBase):
    """Reads the bytes of a file, followed by zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._end, self._at = memoryview(data), padded_length(len(data)), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = min(len(buffer), self._end - self._at)
        part = self._data[self._at : self._at + size]
        buffer[: len(part)] = part
        buffer[len(part) : size] = bytes(size - len(part))
        self._at += size
        return size


def _add_padding(data: bytes) -> bytes:
    return data.ljust(padded_length(len(data)), b"\x00")


def _remove_padding(untrusted: bytes) -> bytes:
    end = _FRAME_LENGTH_FIELD_BYTES + int.from_bytes(untrusted[:_FRAME_LENGTH_FIELD_BYTES], "big")
    if end > len(untrusted) or len(untrusted) != padded_length(end):
        raise BadCbor
    if untrusted.count(0, end) != len(untrusted) - end:
        raise BadCbor
    return untrusted[_FRAME_LENGTH_FIELD_BYTES:end]


def _parse_file(entry: Any) -> MessageFileEntry:
    media_type, size, role = as_list(entry, 3, 3)
    file_role = FileRole(as_uint(role, max(FileRole), min(FileRole)))
    return MessageFileEntry(as_media_type(media_type), as_uint(size, least=1), file_role)


def _parse_text(value: object) -> str:
    text = as_text(value, TEXT_CHARS_MAX)
    if not text or any(map(is_terminal_control, text)):
        raise BadCbor
    return text
