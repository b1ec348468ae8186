"""Tests of sealing content for one device, of padding files, and of the hashing writer."""

import io
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import TooLarge
from entrenous.base.identifiers import ID_BYTES, MessageId, MessageName
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_blob
from entrenous.crypto.hashing import HashingWriter, sha256
from entrenous.crypto.key_derivation import blob_key, content_key
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.formats.message_format import (
    UnpaddingWriter,
    padded_length,
    padded_reader,
    read_frame,
    write_manifest,
)
from entrenous.send.letter.letter_nouns import ContentFile, PersonDeviceListHead
from entrenous.send.letter.write import addressees
from entrenous.send.message import make
from entrenous.send.message.draft import MessagePolicy
from entrenous.send.message.make import (
    FileForDevice,
    MessageLetterParts,
    SendingContext,
    seal_content,
)
from entrenous.send.people.keep_contacts import contact_named
from tests.send.send_device import Network, Person

# This file is larger than 16 MiB, so the ciphertext is written to the vault in chunks.
LARGE_FILE = bytes(range(256)) * 68_000


def seal_for_ben(ana: Person, *files: bytes) -> tuple[MessageLetterParts, MessageId]:
    (to,) = addressees(contact_named("ben", ana.device), ana.device)
    person = to.contact.person
    sending = SendingContext(
        message=MessageId(ana.device.random_source.token(ID_BYTES)),
        name=MessageName("1-lunar-otter"),
        sent_at=now_in_whole_seconds(ana.device),
        policy=MessagePolicy(now_in_whole_seconds(ana.device) + timedelta(days=1)),
        audience=((person.id, to.key.device),),
        heads=(PersonDeviceListHead(person.id, person.epoch, person.head),),
        groups=Secret(bytes(32)),
    )
    files_for_device = tuple(
        FileForDevice(ContentFile("video/mp4", data), sha256(data)) for data in files
    )
    return seal_content(files_for_device, "both", to, sending, ana.device), sending.message


def remove_padding(padded: bytes, size: int) -> bytes:
    buffer = io.BytesIO()
    reading = UnpaddingWriter(buffer, size)
    reading.write(padded)
    reading.require_complete()
    return buffer.getvalue()


def test_small_and_large_files_decrypt_with_their_own_keys(friends: Network) -> None:
    ana = friends["ana"]
    made, message = seal_for_ben(ana, b"small", LARGE_FILE)
    manifest, outer = made.manifest, made.outer
    assert outer.share is not None
    key = content_key(
        manifest.secret,
        outer.share.value,
        message=message,
        envelope=outer.envelope,
        manifest=write_manifest(manifest),
    )
    opened = []
    for place, (deposit, kept) in enumerate(outer.blobs):
        data = ana.device.vault.read_stored_file(kept)
        assert (len(data), sha256(data)) == (deposit.size, deposit.sha256)
        assert manifest.blobs[place].id == deposit.id
        opened.append(decrypt_blob(blob_key(key, place), data))
    frame = read_frame(opened[0])
    assert (frame.text, [file.size for file in frame.files]) == ("both", [5, len(LARGE_FILE)])
    assert remove_padding(opened[1], 5) == b"small"
    assert remove_padding(opened[2], len(LARGE_FILE)) == LARGE_FILE


def test_a_file_that_exceeds_the_blob_limit_is_refused(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "BLOB_BYTES_MAX", 8192)
    seal_for_ben(friends["ana"], bytes(range(200)))
    with pytest.raises(TooLarge, match="larger than the 8192 bytes"):
        seal_for_ben(friends["ana"], b"x" * 9000)


@given(st.binary(min_size=1, max_size=9000), st.integers(1, 5000))
def test_padded_reader_returns_the_data_then_zeros(data: bytes, read_size: int) -> None:
    reader = padded_reader(data)
    padded = data.ljust(padded_length(len(data)), b"\x00")
    assert b"".join(iter(lambda: reader.read(read_size), b"")) == padded


def test_an_empty_file_cannot_be_padded() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        padded_reader(b"")


@given(st.lists(st.binary(max_size=300), max_size=9))
def test_the_hashing_writer_passes_on_counts_and_hashes_bytes(parts: list[bytes]) -> None:
    buffer = io.BytesIO()
    writer = HashingWriter(buffer)
    for part in parts:
        assert writer.write(part) == len(part)
    writer.flush()
    assert buffer.getvalue() == b"".join(parts)
    assert (writer.size, writer.digest()) == (len(buffer.getvalue()), sha256(buffer.getvalue()))
