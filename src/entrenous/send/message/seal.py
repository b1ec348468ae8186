"""Seal one recipient's content under a key of two shares (docs/spec/content.md).

Files are encrypted one after the other, and the ciphertext of a large one goes to the vault as it
comes.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO, Final, cast

from entrenous.craft.crypto.blob import encrypt_stream
from entrenous.craft.crypto.derive import blob_key, content_key, share_group
from entrenous.craft.crypto.hashing import Hashing, lock_of
from entrenous.craft.wire.letter.content import padded_length, padded_reader, write_frame
from entrenous.craft.wire.letter.letter import write_manifest
from entrenous.model.envelope import BlobDeposit, ShareDeposit
from entrenous.model.ids import (
    ID_BYTES,
    BlobId,
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
)
from entrenous.model.letter import (
    BlobRef,
    ContentFile,
    Frame,
    FrameFile,
    Manifest,
    PersonHead,
    ReplyTo,
)
from entrenous.model.message import Policy
from entrenous.model.relay_problem import TooLarge
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.letter.write import Addressee, Outer
from entrenous.spec import BLOB_BYTES_MAX

_HELD_MAX: Final = 16 * 1024 * 1024  # bytes of ciphertext that may be held, for one write to disk


@dataclass(frozen=True, slots=True)
class Sending:
    """What all copies of one message share; ``groups`` is what its share groups grow from.

    ``sent_at`` is as exact as the clock, so that the ledger keeps the order of messages that were
    sent within one second; recipients are told whole seconds.
    """

    message: MessageId
    name: MessageName
    sent_at: datetime
    policy: Policy
    audience: tuple[tuple[PersonId, DeviceId], ...]
    heads: tuple[PersonHead, ...]
    groups: Secret
    reply: ReplyTo | None = None
    circle: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """One device's content, sealed and kept in the vault until it is posted."""

    manifest: Manifest
    outer: Outer


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One file of a device's own, and the commitment to its mark (None: it bears none)."""

    file: ContentFile
    commitment: bytes | None


def seal_content(
    files: tuple[OwnFile, ...],
    text: str | None,
    to: Addressee,
    sending: Sending,
    device: Device,
) -> Sealed:
    """Encrypt the files for one device, a blob each; the key is split between its letter and its
    relay.

    Raises:
        TooLarge: a file is beyond what a relay takes.
    """
    envelope, share = EnvelopeId(device.dice.token(ID_BYTES)), _fresh(device)
    marks = tuple(one.commitment for one in files)
    manifest = replace(_manifest(to, sending, device), marks=marks)
    key = content_key(
        manifest.secret,
        share,
        message=sending.message,
        envelope=envelope,
        manifest=write_manifest(manifest),
    )
    opens, person = sending.policy.opens, to.contact.person.id
    group = None if opens is None else share_group(sending.groups, person)
    withdraw_token = _fresh(device)
    locks = _Locks(lock_of(manifest.fetch_token), lock_of(withdraw_token))
    blobs = tuple(
        _deposited(_encrypted(blob_key(key, place), *padded, device), locks, to, sending, device)
        for place, padded in enumerate(_blobs(files, text))
    )
    outer = Outer(
        envelope=envelope,
        expires_at=sending.policy.expires_at,
        withdraw_token=withdraw_token,
        message=sending.message,
        share=ShareDeposit(share, lock_of(manifest.open_token), opens, group),
        blobs=blobs,
    )
    refs = tuple(BlobRef(deposit.id, deposit.size, deposit.sha256) for deposit, _ in blobs)
    return Sealed(replace(manifest, blobs=refs), outer)


@dataclass(frozen=True, slots=True)
class _Locks:
    """What the relay keeps of the tokens of a copy."""

    fetch: bytes
    withdraw: bytes


@dataclass(frozen=True, slots=True)
class _Encrypted:
    """A blob in the vault: its size in bytes and its SHA-256, as it will be at the relay."""

    kept: BlobId
    size: int
    sha256: bytes


def _blobs(files: tuple[OwnFile, ...], text: str | None) -> Iterator[tuple[BinaryIO, int]]:
    """The padded frame, and then the padded files, and how many bytes each has."""
    described = tuple(
        FrameFile(one.file.media_type, len(one.file.data), one.file.role) for one in files
    )
    frame = write_frame(Frame(described, text or None))
    yield io.BytesIO(frame), len(frame)
    for one in files:
        yield padded_reader(one.file.data), padded_length(len(one.file.data))


def _manifest(to: Addressee, sending: Sending, device: Device) -> Manifest:
    return Manifest(
        name=sending.name,
        sent_at=sending.sent_at.replace(microsecond=0),
        expires_at=sending.policy.expires_at,
        opens=sending.policy.opens,
        audience=sending.audience,
        heads=sending.heads,
        secret=_fresh(device),
        blobs=(),
        fetch_token=_fresh(device),
        open_token=_fresh(device),
        relay_url=to.contact.person.relay_url,
        reply=sending.reply,
        circle=sending.circle,
        may_export=sending.policy.may_export,
    )


def _encrypted(key: Secret, padded: BinaryIO, size: int, device: Device) -> _Encrypted:
    if size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    if size <= _HELD_MAX:
        held = io.BytesIO()
        seen = _into(held, key, padded)
        return _Encrypted(device.vault.keep_sealed(held.getvalue()), *seen)
    kept = device.vault.keep_sealed(b"")
    with device.vault.adding(kept) as file:
        return _Encrypted(kept, *_into(file, key, padded))


def _into(writer: BinaryIO, key: Secret, padded: BinaryIO) -> tuple[int, bytes]:
    """Encrypt; the size and the SHA-256 of what was written."""
    seen = Hashing(writer)
    encrypt_stream(key, padded, cast("BinaryIO", seen))
    return seen.size, seen.digest()


def _deposited(
    blob: _Encrypted, locks: _Locks, to: Addressee, sending: Sending, device: Device
) -> tuple[BlobDeposit, BlobId]:
    """What the relay is told of a blob, and where it lies in the vault until it is brought."""
    if blob.size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    deposit = BlobDeposit(
        id=BlobId(device.dice.token(ID_BYTES)),
        mailbox=to.key.mailbox,
        size=blob.size,
        sha256=blob.sha256,
        fetch_lock=locks.fetch,
        withdraw_lock=locks.withdraw,
        expires_at=sending.policy.expires_at,
    )
    return deposit, blob.kept


def _fresh(device: Device) -> Secret:
    return Secret(device.dice.token(32))
