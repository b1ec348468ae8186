"""Our own devices: list them, revoke them, and make a recovery sheet. Also the checklists after a
loss (docs/spec/devices.md, section 4).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.identifiers import MailboxId
from entrenous.base.identity import RevocationReason
from entrenous.base.language import translatable
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import (
    LOCK_TO_MOVE_RECORD,
    NEXT_CLOSE_TOKEN_RECORD,
    OWN_IDENTITY,
    own_device,
    own_name,
    refuse_unconfirmed_unlock,
    store_identity,
)
from entrenous.device.recovery_sheet import (
    CloseTokenNotReplacedYet,
    LockNotMovedYet,
    MasterKeyNotHere,
    NothingToRecover,
    RecoverySheet,
    SheetOfAnotherPerson,
)
from entrenous.device.vault_tables import OWN_RECORDS
from entrenous.send.devices.device_lists import (
    accept_own_bundle,
    find_master_key,
    sign_list_revoking,
)
from entrenous.send.devices.linked_devices import (
    DELETED_MAILBOX_TABLE,
    MAILBOX_TO_DELETE_TABLE,
    CannotRevokeThisDevice,
    LinkedDevice,
    MailboxDeletion,
    MailboxUse,
    linked_device_by_id,
    linked_device_named,
    mailbox_of_device,
)
from entrenous.send.devices.list_letters import (
    queue_bundle_for_contacts,
    queue_bundle_for_own_devices,
)
from entrenous.send.devices.next_mailbox import move_target, unready_devices
from entrenous.send.devices.own_key_bundle import (
    pending_device_mailbox_deletions,
    schedule_mailbox_deletion,
)
from entrenous.send.devices.sync_send import forget_synced_versions
from entrenous.send.flush import flush_outbox
from entrenous.send.outbox import OUTBOX_TABLE


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """One of our devices; ``has_written`` says whether it has sent this device a letter."""

    name: str
    this: bool
    since: datetime
    has_written: bool


@dataclass(frozen=True, slots=True)
class DeviceOverview:
    """The state of all our devices, this one first.

    ``to_close`` are the names of revoked devices whose mailboxes are not deleted yet; ``refused``
    are those whose deletion the relay refused. ``letters`` counts all queued letters. ``moves_to``
    is the relay of a move started on this device, ``not_ready`` the devices that it waits for.
    """

    devices: tuple[OwnDevice, ...]
    master_here: bool
    to_close: tuple[str, ...]
    letters: int
    refused: tuple[str, ...] = ()
    moves_to: str | None = None
    not_ready: tuple[str, ...] = ()


def device_overview(device: Device) -> DeviceOverview:
    """Return the state of our devices; raises DeviceWithoutRelay or RolledBack."""
    me, identity = own_device(device), OWN_IDENTITY.load(device.vault)
    others = list[OwnDevice]()
    for key in me.person.devices:
        linked = linked_device_by_id(key.device, device)
        if linked is not None:
            others.append(
                OwnDevice(
                    linked.name, this=False, since=key.created_at, has_written=linked.has_written
                )
            )
    to_close, moves_to = pending_device_mailbox_deletions(device), move_target(device)
    this = OwnDevice(own_name(device), this=True, since=me.key.created_at, has_written=True)
    return DeviceOverview(
        devices=(this, *sorted(others, key=lambda one: one.name.casefold())),
        master_here=identity is not None and identity.master is not None,
        to_close=tuple(one.name for one in to_close if one.name is not None),
        letters=len(OUTBOX_TABLE.keys(device.vault)),
        refused=tuple(one.name for one in to_close if one.name is not None and one.refused),
        moves_to=moves_to,
        not_ready=() if moves_to is None else unready_devices(moves_to, device),
    )


def make_recovery_sheet(
    relay_share: Secret, old: RecoverySheet | None, device: Device
) -> RecoverySheet:
    """Return the content of a recovery sheet.

    ``relay_share`` is the relay's part of this vault's key, 64 bytes; ``old`` is an earlier sheet,
    if the master key is on one. The master key stays on the device until
    :func:`delete_master_key`.

    Raises:
        NothingToRecover: no relay has a part of this vault's key.
        MasterKeyNotHere: the master key is on a sheet, and none was given.
        SheetOfAnotherPerson: the sheet given is somebody else's.
        CloseTokenNotReplacedYet, LockNotMovedYet: what the sheet would contain is about to be
            replaced.
    """
    identity = OWN_IDENTITY.load(device.vault)
    if identity is None or identity.person is None or identity.home is None:
        raise NothingToRecover
    if identity.home.close is None or not len(relay_share):
        raise NothingToRecover
    if device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD) is not None:
        raise CloseTokenNotReplacedYet
    if device.vault.get(OWN_RECORDS, LOCK_TO_MOVE_RECORD) is not None:
        raise LockNotMovedYet
    home, person = identity.home, identity.person.id
    if old is not None and old.person != person:
        raise SheetOfAnotherPerson
    master = identity.master or (old and old.master)
    if not master:
        raise MasterKeyNotHere
    return RecoverySheet(
        person, master, home.relay_url, home.mailbox, identity.home.close, relay_share
    )


def delete_master_key(device: Device) -> None:
    """Delete the master key from the device, so that only the sheet has it."""
    identity = OWN_IDENTITY.load(device.vault)
    if identity is not None and identity.master is not None:
        store_identity(replace(identity, master=None), device)


class RevocationState(StrEnum):
    """Whether the relay has deleted its share of a revoked device's vault key."""

    DONE = "done"
    WAITS = "waits"  # not confirmed by the relay; it is asked whenever the outbox is sent
    REFUSED = "refused"  # the relay rejects our token; another device may have a newer one
    ELSEWHERE = "elsewhere"  # this device does not know the token; another device may


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """A revoked device's name, and whether its vault can still be opened through the relay."""

    name: str
    shut: RevocationState


def revoke_device(
    name: str, *, lost: bool, sheet: RecoverySheet | None, device: Device
) -> RevocationResult:
    """Remove a device from our list for good. Have its relay delete all that it stores for the
    device: waiting letters, shares of content keys, and its share of the vault's key.

    Raises:
        UnknownDevice, CannotRevokeThisDevice, MasterKeyNotHere, SheetOfAnotherPerson,
        DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
    """
    refuse_unconfirmed_unlock(device)
    if name.strip().casefold() == own_name(device).casefold():
        raise CannotRevokeThisDevice
    one = linked_device_named(name, device)
    mailbox = mailbox_of_device(one.device, own_device(device).person)
    every = {home.mailbox for home in one.homes if home.what is not MailboxUse.LEFT}
    every |= {mailbox} if mailbox else set()
    master = find_master_key(sheet, device)
    with device.vault.transaction():
        kind = RevocationReason.LOST if lost else RevocationReason.RETIRED
        accept_own_bundle(sign_list_revoking(master, one.device, kind, device), device)
        _also_try_close_token_of_sheet(one, mailbox, sheet, device)
        forget_synced_versions(one.device, device)
        queue_bundle_for_own_devices((), device)
        queue_bundle_for_contacts(device)
    flush_outbox(device)
    return RevocationResult(one.name, _revocation_state(mailbox, every, device))


def _also_try_close_token_of_sheet(
    linked: LinkedDevice, mailbox: MailboxId | None, sheet: RecoverySheet | None, device: Device
) -> None:
    """Have the close token on the sheet tried first, and then the one that the device sent to us.

    The relay accepts only the newest token, and either of the two may be the newer one.
    """
    if sheet is None or sheet.mailbox != mailbox:
        return
    known = MAILBOX_TO_DELETE_TABLE.load(sheet.mailbox.hex(), device.vault)
    other_tokens = () if known is None else (known.token,)
    url = own_device(device).home.relay_url
    schedule_mailbox_deletion(
        MailboxDeletion(url, sheet.mailbox, sheet.close, name=linked.name, others=other_tokens),
        device,
    )


def _revocation_state(
    mailbox: MailboxId | None, mailboxes: Collection[MailboxId], device: Device
) -> RevocationState:
    if mailbox is None:
        return RevocationState.ELSEWHERE
    left = [MAILBOX_TO_DELETE_TABLE.load(one.hex(), device.vault) for one in mailboxes]
    if any(one is not None for one in left):
        refused = any(one is not None and one.refused for one in left)
        return RevocationState.REFUSED if refused else RevocationState.WAITS
    closed = DELETED_MAILBOX_TABLE.has(mailbox.hex(), device.vault)
    return RevocationState.DONE if closed else RevocationState.ELSEWHERE


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One thing to do after the loss of a device, and the reason."""

    what: str
    why: str


_CHECKLIST_AFTER_ANY_LOSS: Final = (
    ChecklistItem(
        translatable("Change the passphrase wherever else you use it."),
        translatable(
            "Once the lost device is revoked, the passphrase no longer opens anything "
            "there, unless you had allowed that device to open without its relay. But the "
            "same passphrase may still open something else."
        ),
    ),
    ChecklistItem(
        translatable("Have the SIM card locked by your provider."),
        translatable(
            "Whoever has the card gets the codes that other accounts send you by text message."
        ),
    ),
    ChecklistItem(
        translatable("Sign the device out of your other accounts, mail first."),
        translatable("With your mail, somebody can reset the passwords of nearly everything else."),
    ),
    ChecklistItem(
        translatable("Use the maker's service to find, lock or wipe the device."),
        translatable(
            "The device may contain data of other programs, and files that you exported yourself."
        ),
    ),
    ChecklistItem(
        translatable("Report the loss to the police, and keep the number of the report."),
        translatable("Insurers and platforms ask for that number."),
    ),
)
LOST_DEVICE_CHECKLIST: Final = (
    *_CHECKLIST_AFTER_ANY_LOSS,
    ChecklistItem(
        translatable("Ask people to send again the messages that only that device had received."),
        translatable(
            "Messages that waited for that device at the relay are gone. Their senders can "
            "see which: entrenous sent"
        ),
    ),
    ChecklistItem(
        translatable("If the device was unlocked when it was taken, tell the people you write to."),
        translatable(
            "Whatever could be seen there may have been copied. If a picture turns up: "
            "entrenous case open"
        ),
    ),
    ChecklistItem(
        translatable(
            "If you had written a recovery sheet, write a new one and destroy the old one."
        ),
        translatable(
            "The code on the old sheet, which revokes this device, is no longer valid: "
            "entrenous device recovery --out FILE --recovery OLD"
        ),
    ),
)
#: For a device that was revoked with its recovery sheet alone, so that nobody could be notified.
REVOKED_BY_SHEET_CHECKLIST: Final = (
    ChecklistItem(
        translatable(
            "Tell the people you write to over another channel, and ask them to remove your "
            "keys with this command: entrenous person forget YOU"
        ),
        translatable(
            "Their programs still list the lost device as yours. If somebody opened it "
            "before it was revoked, messages written there reach them in your name until "
            "they remove your keys."
        ),
    ),
    *_CHECKLIST_AFTER_ANY_LOSS,
    ChecklistItem(
        translatable(
            "If you have another device, remove the lost one from your list of devices "
            "there: entrenous device revoke NAME --lost --recovery FILE"
        ),
        translatable(
            "Then the people you write to are notified after all, and nobody has to remove "
            "your keys."
        ),
    ),
    ChecklistItem(
        translatable(
            "If you have no other device, begin anew, in an empty folder: entrenous setup "
            "--name YOU --relay URL. Then give people new links: entrenous invite"
        ),
        translatable(
            "You then have new keys, so people have to add you again; messages that they "
            "send to the old keys are refused. If you had made an archive, import it: "
            "entrenous archive import DIR"
        ),
    ),
    ChecklistItem(
        translatable("Ask people to send again the messages that only that device had received."),
        translatable(
            "Messages that waited for that device at the relay are gone. Their senders can "
            "see which: entrenous sent"
        ),
    ),
    ChecklistItem(
        translatable("Destroy the recovery sheet once all of this is done."),
        translatable(
            "Whoever has the sheet can still sign in your name. With a copy of the lost "
            "device's folder, they can also let a computer guess its passphrase without any "
            "limit on tries."
        ),
    ),
)
