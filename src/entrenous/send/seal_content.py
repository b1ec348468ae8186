"""Seal one recipient's content under a key of two shares (docs/spec/content.md)."""

from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.craft.crypto.blob import encrypt_blob
from entrenous.craft.crypto.derive import content_key
from entrenous.craft.crypto.hashing import lock_of, sha256
from entrenous.craft.wire.content import write_content
from entrenous.craft.wire.letter import write_manifest
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
from entrenous.model.letter import BlobRef, Content, ContentFile, Manifest
from entrenous.model.message import Policy
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.letters import Addressee, Outer


@dataclass(frozen=True, slots=True)
class Sending:
    """What all copies of one message share."""

    message: MessageId
    name: MessageName
    sent_at: datetime
    policy: Policy
    audience: tuple[tuple[PersonId, DeviceId], ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """One device's content, sealed and kept in the vault until it is posted."""

    manifest: Manifest
    outer: Outer


def seal_content(
    files: tuple[ContentFile, ...],
    caption: str | None,
    to: Addressee,
    sending: Sending,
    device: Device,
) -> Sealed:
    """Encrypt the files for one device; the key is split between its letter and its relay."""
    envelope = EnvelopeId(device.dice.token(ID_BYTES))
    share = _fresh(device)
    manifest = _manifest(to, sending, device)
    key = content_key(
        manifest.secret,
        share,
        message=sending.message,
        envelope=envelope,
        manifest=write_manifest(manifest),
    )
    blob = encrypt_blob(key, write_content(Content(files, caption)))
    deposit, withdraw_token = _deposit(blob, to, manifest, sending, device)
    ref = BlobRef(deposit.id, deposit.size, deposit.sha256)
    outer = Outer(
        envelope=envelope,
        expires_at=sending.policy.expires_at,
        withdraw_token=withdraw_token,
        message=sending.message,
        share=ShareDeposit(share, lock_of(manifest.open_token), sending.policy.opens),
        blobs=((deposit, device.vault.keep(blob)),),
    )
    return Sealed(replace(manifest, blobs=(ref,)), outer)


def _manifest(to: Addressee, sending: Sending, device: Device) -> Manifest:
    return Manifest(
        name=sending.name,
        sent_at=sending.sent_at,
        expires_at=sending.policy.expires_at,
        opens=sending.policy.opens,
        audience=sending.audience,
        secret=_fresh(device),
        blobs=(),
        fetch_token=_fresh(device),
        open_token=_fresh(device),
        relay_url=to.contact.person.relay_url,
    )


def _deposit(
    blob: bytes, to: Addressee, manifest: Manifest, sending: Sending, device: Device
) -> tuple[BlobDeposit, Secret]:
    withdraw_token = _fresh(device)
    deposit = BlobDeposit(
        id=BlobId(device.dice.token(ID_BYTES)),
        mailbox=to.contact.person.mailbox,
        size=len(blob),
        sha256=sha256(blob),
        fetch_lock=lock_of(manifest.fetch_token),
        withdraw_lock=lock_of(withdraw_token),
        expires_at=sending.policy.expires_at,
    )
    return deposit, withdraw_token


def _fresh(device: Device) -> Secret:
    return Secret(device.dice.token(32))
