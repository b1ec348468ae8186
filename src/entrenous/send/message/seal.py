"""Seal one recipient's content under a key of two shares (docs/spec/content.md)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.craft.crypto.blob import encrypt_blob
from entrenous.craft.crypto.derive import blob_key, content_key
from entrenous.craft.crypto.hashing import lock_of, sha256
from entrenous.craft.wire.letter.content import pad_file, write_frame
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
from entrenous.model.letter import BlobRef, ContentFile, Frame, FrameFile, Manifest, PersonHead
from entrenous.model.message import Policy
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.letter.write import Addressee, Outer


@dataclass(frozen=True, slots=True)
class Sending:
    """What all copies of one message share."""

    message: MessageId
    name: MessageName
    sent_at: datetime
    policy: Policy
    audience: tuple[tuple[PersonId, DeviceId], ...]
    heads: tuple[PersonHead, ...]


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
    withdraw_token = _fresh(device)
    locks = _Locks(lock_of(manifest.fetch_token), lock_of(withdraw_token))
    blobs = tuple(
        _deposited(encrypt_blob(blob_key(key, place), padded), locks, to, sending, device)
        for place, padded in enumerate(_blobs(files, text))
    )
    outer = Outer(
        envelope=envelope,
        expires_at=sending.policy.expires_at,
        withdraw_token=withdraw_token,
        message=sending.message,
        share=ShareDeposit(share, lock_of(manifest.open_token), sending.policy.opens),
        blobs=blobs,
    )
    refs = tuple(BlobRef(deposit.id, deposit.size, deposit.sha256) for deposit, _ in blobs)
    return Sealed(replace(manifest, blobs=refs), outer)


@dataclass(frozen=True, slots=True)
class _Locks:
    """What the relay keeps of the tokens of a copy."""

    fetch: bytes
    withdraw: bytes


def _blobs(files: tuple[OwnFile, ...], text: str | None) -> Iterator[bytes]:
    """The padded frame, and then the padded files."""
    described = tuple(
        FrameFile(one.file.media_type, len(one.file.data), one.file.role) for one in files
    )
    yield write_frame(Frame(described, text or None))
    yield from (pad_file(one.file.data) for one in files)


def _manifest(to: Addressee, sending: Sending, device: Device) -> Manifest:
    return Manifest(
        name=sending.name,
        sent_at=sending.sent_at,
        expires_at=sending.policy.expires_at,
        opens=sending.policy.opens,
        audience=sending.audience,
        heads=sending.heads,
        secret=_fresh(device),
        blobs=(),
        fetch_token=_fresh(device),
        open_token=_fresh(device),
        relay_url=to.contact.person.relay_url,
    )


def _deposited(
    blob: bytes, locks: _Locks, to: Addressee, sending: Sending, device: Device
) -> tuple[BlobDeposit, BlobId]:
    """What the relay is told of a blob, and where it lies in the vault until it is brought."""
    deposit = BlobDeposit(
        id=BlobId(device.dice.token(ID_BYTES)),
        mailbox=to.key.mailbox,
        size=len(blob),
        sha256=sha256(blob),
        fetch_lock=locks.fetch,
        withdraw_lock=locks.withdraw,
        expires_at=sending.policy.expires_at,
    )
    return deposit, device.vault.keep_sealed(blob)


def _fresh(device: Device) -> Secret:
    return Secret(device.dice.token(32))
