"""This device's own key bundle: certify devices, sign lists and batches. Also tell our relay about
changes: a newer bundle, a new close token (with which our other devices can delete our mailbox),
mailboxes to be deleted.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, Unreachable, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BatchPosition,
    BatchRoot,
    DeviceCertificate,
    DeviceList,
    DeviceListStatement,
    EnforcedLimit,
    KeyBundle,
    ListedDevice,
    ProtocolRange,
    SignedBatch,
    SignedDeviceCertificate,
)
from entrenous.base.limits import (
    DELETED_MAILBOX_DAYS,
    PADDED_KEY_BUNDLE_SIZES_BYTES,
    PROTOCOL_VERSION,
)
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import seal_file, unseal_file
from entrenous.crypto.hashing import inclusion_proofs, merkle_root
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    curve25519_public_key,
    ed25519_public_key,
    mldsa65_hash,
    mldsa65_public_key,
    person_id,
    public_master_keys,
)
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.crypto.statements import certificate_hash, sign_certificate, sign_device_list
from entrenous.device.device import Device
from entrenous.device.identities import (
    KEY_BUNDLE_TO_PUBLISH_RECORD,
    NEXT_CLOSE_TOKEN_RECORD,
    OWN_IDENTITY,
    MailboxAddress,
    own_device,
    signer_of,
    store_identity,
)
from entrenous.device.recovery_sheet import RevocationTokenOutdated
from entrenous.device.vault_tables import (
    OWN_RECORDS,
)
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.devices.linked_devices import (
    DELETED_MAILBOX_TABLE,
    MAILBOX_TO_DELETE_TABLE,
    MailboxDeletion,
)
from entrenous.send.people.people_nouns import InviteKeysDiffer
from entrenous.wire.key_bundle import (
    newest_lists_that_fit,
    read_device_list,
    write_batch,
    write_certificate,
    write_device_list,
)

PROTOCOLS_SPOKEN: Final = ProtocolRange(PROTOCOL_VERSION, PROTOCOL_VERSION)
# the limits that this program enforces
ENFORCED_LIMITS: Final = tuple(int(one) for one in EnforcedLimit)


def certify_device(
    master: Secret, signer: DeviceSigner, device: DeviceId, created_at: datetime
) -> SignedDeviceCertificate:
    """Return the master key's certificate for the device with these keys."""
    certificate = DeviceCertificate(
        person=person_id(public_master_keys(master)),
        device=device,
        ed25519=ed25519_public_key(signer.account),
        curve25519=curve25519_public_key(signer.account),
        mldsa65_hash=mldsa65_hash(mldsa65_public_key(signer)),
        created_at=created_at,
        enforces=ENFORCED_LIMITS,
    )
    statement = write_certificate(certificate)
    return SignedDeviceCertificate(certificate, statement, sign_certificate(master, statement))


def make_first_device_list(
    name: str, home: MailboxAddress, signed: SignedDeviceCertificate, issued_at: datetime
) -> DeviceListStatement:
    """Return a person's first device list, with one device. Its number (epoch) is 1."""
    said = DeviceList(
        person=signed.certificate.person,
        epoch=1,
        previous=None,
        devices=(ListedDevice(signed.certificate.device, certificate_hash(signed), home.mailbox),),
        revoked=(),
        name=name,
        speaks=PROTOCOLS_SPOKEN,
        issued_at=issued_at,
        relay_url=home.relay_url,
    )
    return read_device_list(write_device_list(said))


def sign_bundle(
    master: Secret,
    lists: tuple[DeviceListStatement, ...],
    certificates: tuple[SignedDeviceCertificate, ...],
) -> KeyBundle:
    """Return the signed key bundle of these lists, newest last, with its devices' certificates
    (given in any order).
    """
    by_device = {one.certificate.device: one for one in certificates}
    newest = lists[-1]
    return KeyBundle(
        master=public_master_keys(master),
        lists=newest_lists_that_fit(lists),
        signature=sign_device_list(master, newest.statement),
        certificates=tuple(by_device[one.device] for one in newest.said.devices),
    )


_BUNDLE_LENGTH_FIELD_BYTES: Final = 4
# First byte of a bundle in the older, unpadded form (a CBOR map); no length begins with it.
_UNPADDED_BUNDLE_START: Final = b"\xa7"


def seal_key_bundle(card: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """Seal a key bundle for publication (docs/spec/identity.md section 4)."""
    said = len(card).to_bytes(_BUNDLE_LENGTH_FIELD_BYTES, "big") + card
    size = next(one for one in PADDED_KEY_BUNDLE_SIZES_BYTES if one >= len(said))
    return seal_file(Secret(person), said.ljust(size, b"\0"), mailbox)


def open_key_bundle(untrusted_shown: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """Open a published key bundle, which is still to be verified.

    Raises:
        InviteKeysDiffer: it was published for another person or mailbox, or was changed.
    """
    try:
        opened = unseal_file(Secret(person), untrusted_shown, mailbox)
    except DecryptionFailed:
        raise InviteKeysDiffer from None
    return opened if opened.startswith(_UNPADDED_BUNDLE_START) else _unpad_bundle(opened)


def _unpad_bundle(opened: bytes) -> bytes:
    """Remove the padding.

    The input is untrusted, since anybody with an invite could have encrypted it.
    """
    end = _BUNDLE_LENGTH_FIELD_BYTES + int.from_bytes(opened[:_BUNDLE_LENGTH_FIELD_BYTES], "big")
    if (
        len(opened) not in PADDED_KEY_BUNDLE_SIZES_BYTES
        or end > len(opened)
        or opened[end:].strip(b"\0")
    ):
        raise InviteKeysDiffer
    return opened[_BUNDLE_LENGTH_FIELD_BYTES:end]


def sign_batch(
    leaves: Sequence[bytes],
    mailbox: MailboxId | None,
    sign: Callable[[DeviceSigner, bytes], bytes],
    device: Device,
) -> SignedBatch:
    """Sign a batch of statements, given their 32-byte leaves in order.

    ``sign`` is the function in crypto/statements.py that signs this kind of batch.

    Raises:
        ValueError: there are none, or more than 64.
        DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
    """
    signer = signer_of(device)
    batch = BatchRoot(own_device(device).key.device, mailbox, len(leaves), merkle_root(leaves))
    statement = write_batch(batch)
    return SignedBatch(batch, statement, mldsa65_public_key(signer), sign(signer, statement))


def batch_positions(leaves: Sequence[bytes]) -> tuple[BatchPosition, ...]:
    """Return the position and Merkle path of each statement of a batch, given their leaves."""
    return tuple(BatchPosition(*place) for place in enumerate(inclusion_proofs(leaves)))


_DELETION_RETRY_INTERVAL: Final = timedelta(hours=1)


def send_own_changes_to_relay(device: Device) -> list[EntrenousError]:
    """Publish our newest key bundle, change our close token, delete mailboxes no longer in use.

    Returns: the errors met; the next call tries again.
    """
    changes = (_publish_key_bundle, _send_next_close_token, *_due_deletion_tasks(device))
    return _problems_of_tasks(changes, device)


def send_due_mailbox_deletions(device: Device) -> list[EntrenousError]:
    """Delete mailboxes no longer in use, at any relay.

    Returns: the errors met; the next call tries again.
    """
    return _problems_of_tasks(_due_deletion_tasks(device), device)


def _problems_of_tasks(
    tasks: Iterable[Callable[[Device], None]], device: Device
) -> list[EntrenousError]:
    problems = list[EntrenousError]()
    for task in tasks:
        try:
            task(device)
        except EntrenousError as error:
            problems.append(error)
    return problems


def schedule_mailbox_deletion(closing: MailboxDeletion, device: Device) -> None:
    """Schedule the deletion of a mailbox once its relay answers, but not before ``not_before``."""
    MAILBOX_TO_DELETE_TABLE.store(closing, closing.mailbox.hex(), device.vault)


def repeat_mailbox_deletions(relay_url: str, since: datetime, device: Device) -> None:
    """Repeat deletions since that time at a relay that was restored and may have forgotten them.

    The records of earlier deletions, at any relay, are dropped. Call this function in a
    transaction.
    """
    for one in list(DELETED_MAILBOX_TABLE.all(device.vault)):
        if one.closed_at is not None and one.closed_at < since:
            DELETED_MAILBOX_TABLE.drop(one.mailbox.hex(), device.vault)
        elif one.relay_url == relay_url:
            schedule_mailbox_deletion(replace(one, closed_at=None), device)


def relays_with_mailbox_deletions(since: datetime, device: Device) -> set[str]:
    """Return the relays at which mailboxes were deleted since that time."""
    every = DELETED_MAILBOX_TABLE.all(device.vault)
    return {one.relay_url for one in every if one.closed_at is None or one.closed_at >= since}


def schedule_close_token_resend(device: Device) -> None:
    """Have the close token of our mailbox sent to our relay again, unless a new token waits to be
    sent anyway.
    """
    close = own_device(device).home.close
    if close is not None and device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD) is None:
        device.vault.put(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD, close.reveal())


def record_deleted_mailbox(closing: MailboxDeletion, device: Device) -> None:
    """Record that a device's mailbox was deleted, for :func:`repeat_mailbox_deletions`."""
    closed = replace(closing, closed_at=device.clock.now())
    DELETED_MAILBOX_TABLE.store(closed, closing.mailbox.hex(), device.vault)


def pending_device_mailbox_deletions(device: Device) -> tuple[MailboxDeletion, ...]:
    """Return the pending deletions of mailboxes at which revoked devices receive: those that have a
    ``name``.
    """
    every = MAILBOX_TO_DELETE_TABLE.all(device.vault)
    return tuple(one for one in every if one.name is not None)


def _publish_key_bundle(device: Device) -> None:
    if device.vault.get(OWN_RECORDS, KEY_BUNDLE_TO_PUBLISH_RECORD) is None:
        return
    me = own_device(device)
    shown = seal_key_bundle(me.card, me.person.id, me.home.mailbox)
    device.courier.publish_key_bundle(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    device.vault.drop(OWN_RECORDS, KEY_BUNDLE_TO_PUBLISH_RECORD)


def _send_next_close_token(device: Device) -> None:
    following = device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD)
    identity = OWN_IDENTITY.load(device.vault)
    if following is None or identity is None or identity.home is None:
        return
    home = replace(identity.home, close=Secret(following))
    device.courier.set_close_token(home.relay_url, home.mailbox, home.owner, Secret(following))
    with device.vault.transaction():
        store_identity(replace(identity, home=home), device)
        device.vault.drop(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD)


def _due_deletion_tasks(device: Device) -> list[Callable[[Device], None]]:
    now, surely = device.clock.now(), time_certainly_passed(device)
    every = list(MAILBOX_TO_DELETE_TABLE.all(device.vault))
    for one in every:
        if one.give_up_at is not None and one.give_up_at <= surely:
            MAILBOX_TO_DELETE_TABLE.drop(one.mailbox.hex(), device.vault)
    return [partial(_delete_mailbox, one) for one in every if _is_deletion_due(one, now)]


def _is_deletion_due(deletion: MailboxDeletion, now: datetime) -> bool:
    """Return whether a deletion is due.

    A time more than an hour ahead counts as due, since a wrong clock recorded it.
    """
    return (
        deletion.not_before is None
        or not now < deletion.not_before <= now + _DELETION_RETRY_INTERVAL
    )


def _delete_mailbox(deletion: MailboxDeletion, device: Device) -> None:
    try:
        _delete_with_any_token(deletion, device)
    # the mailbox never existed, or the relay temporarily uses another database
    except NoSuchMailbox:
        if deletion.name is not None or deletion.give_up_at is not None:
            _schedule_deletion_retry(deletion, device)
            return
    except WrongToken:
        if deletion.name is not None:
            _report_refused_token(deletion, deletion.name, device)
        elif deletion.give_up_at is not None:
            _schedule_deletion_retry(deletion, device)
        else:
            raise
        return
    except Unreachable:
        if deletion.give_up_at is not None:  # that relay may be gone for good
            schedule_mailbox_deletion(
                replace(deletion, not_before=device.clock.now() + _DELETION_RETRY_INTERVAL), device
            )
        raise
    with device.vault.transaction():
        if deletion.name is not None:
            record_deleted_mailbox(deletion, device)
        MAILBOX_TO_DELETE_TABLE.drop(deletion.mailbox.hex(), device.vault)


def _schedule_deletion_retry(deletion: MailboxDeletion, device: Device) -> None:
    """Schedule another attempt for later.

    A relay that knows neither the mailbox nor its deletion may temporarily use another database, so
    the mailbox does not count as deleted there.
    """
    now = device.clock.now()
    give_up_at = deletion.give_up_at or now + timedelta(days=DELETED_MAILBOX_DAYS)
    schedule_mailbox_deletion(
        replace(deletion, not_before=now + _DELETION_RETRY_INTERVAL, give_up_at=give_up_at), device
    )


def _delete_with_any_token(deletion: MailboxDeletion, device: Device) -> None:
    """Try each token in turn; raises WrongToken if the relay accepts none."""
    *others, last = (deletion.token, *deletion.others)
    for token in others:
        with suppress(WrongToken):
            device.courier.close_mailbox(deletion.relay_url, deletion.mailbox, token)
            return
    device.courier.close_mailbox(deletion.relay_url, deletion.mailbox, last)


def _report_refused_token(deletion: MailboxDeletion, name: str, device: Device) -> None:
    """Report once that our token no longer deletes a mailbox, and retry later.

    Another device may still delete it.

    Raises:
        RevocationTokenOutdated: the first time.
    """
    again = device.clock.now() + _DELETION_RETRY_INTERVAL
    schedule_mailbox_deletion(replace(deletion, refused=True, not_before=again), device)
    if not deletion.refused:
        raise RevocationTokenOutdated(name=name)
