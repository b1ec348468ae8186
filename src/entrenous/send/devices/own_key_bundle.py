"""This device's own key bundle: certify devices, sign lists and batches, show it at the relay.

With what our relay has yet to hear about our devices: a newer bundle, a new close token, an ending.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, Unreachable, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    Batch,
    Card,
    Certificate,
    DeviceList,
    Enforces,
    ListedDevice,
    ListStatement,
    Place,
    SignedBatch,
    SignedCertificate,
    Speaks,
)
from entrenous.base.limits import GONE_DAYS, PROTOCOL_VERSION, SHOWN_CARD_SIZES
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import seal_file, unseal_file
from entrenous.crypto.hashing import path_of, root_of
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    identity_key,
    mldsa65_hash,
    mldsa65_key,
    person_id,
    public_master,
    signing_key,
)
from entrenous.crypto.nouns import DoesNotOpen
from entrenous.crypto.statements import proof_of, sign_certificate, sign_list
from entrenous.device.device import Device
from entrenous.device.identities import (
    CARD_TO_SHOW,
    IDENTITY,
    NEXT_CLOSE,
    Home,
    Identity,
    keep_identity,
    signer_of,
    who_am_i,
)
from entrenous.device.recovery_sheet import TokenOfBefore
from entrenous.device.vault_tables import (
    CLOSE,
    CLOSED,
    SELF,
    load_record,
    load_records,
    store_record,
)
from entrenous.send.clock_sanity import believed_now
from entrenous.send.devices.linked_devices import Closing
from entrenous.send.people.people_nouns import NotTheirKeys
from entrenous.wire.key_bundle import (
    read_device_list,
    recent,
    write_batch,
    write_certificate,
    write_device_list,
)

SPEAKS: Final = Speaks(PROTOCOL_VERSION, PROTOCOL_VERSION)
ENFORCES: Final = tuple(int(one) for one in Enforces)  # what this program does


def certify(
    master: Secret, signer: DeviceSigner, device: DeviceId, created_at: datetime
) -> SignedCertificate:
    """What the master key says about the device whose keys these are."""
    certificate = Certificate(
        person=person_id(public_master(master)),
        device=device,
        ed25519=signing_key(signer.account),
        curve25519=identity_key(signer.account),
        mldsa65_hash=mldsa65_hash(mldsa65_key(signer)),
        created_at=created_at,
        enforces=ENFORCES,
    )
    statement = write_certificate(certificate)
    return SignedCertificate(certificate, statement, sign_certificate(master, statement))


def first_list(
    name: str, home: Home, signed: SignedCertificate, issued_at: datetime
) -> ListStatement:
    """The list of epoch 1, with one device on it."""
    said = DeviceList(
        person=signed.certificate.person,
        epoch=1,
        previous=None,
        devices=(ListedDevice(signed.certificate.device, proof_of(signed), home.mailbox),),
        revoked=(),
        name=name,
        speaks=SPEAKS,
        issued_at=issued_at,
        relay_url=home.relay_url,
    )
    return read_device_list(write_device_list(said))


def signed_card(
    master: Secret, lists: tuple[ListStatement, ...], certificates: tuple[SignedCertificate, ...]
) -> Card:
    """The card of these lists, the newest last, with its devices' certificates, in any order."""
    by_device = {one.certificate.device: one for one in certificates}
    newest = lists[-1]
    return Card(
        master=public_master(master),
        lists=recent(lists),
        signature=sign_list(master, newest.statement),
        certificates=tuple(by_device[one.device] for one in newest.said.devices),
    )


_LENGTH_BYTES: Final = 4
_A_CARD_BY_ITSELF: Final = b"\xa7"  # how the map of a card begins, and no length of one


def shown_card(card: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """What is published (docs/spec/identity.md section 4)."""
    said = len(card).to_bytes(_LENGTH_BYTES, "big") + card
    size = next(one for one in SHOWN_CARD_SIZES if one >= len(said))
    return seal_file(Secret(person), said.ljust(size, b"\0"), mailbox)


def seen_card(untrusted_shown: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """The card, itself still to be verified.

    Raises:
        NotTheirKeys: this was published for another person or mailbox, or was changed.
    """
    try:
        opened = unseal_file(Secret(person), untrusted_shown, mailbox)
    except DoesNotOpen:
        raise NotTheirKeys from None
    return opened if opened.startswith(_A_CARD_BY_ITSELF) else _unpadded(opened)


def _unpadded(opened: bytes) -> bytes:
    """Whoever has an invite could have sealed this too."""
    end = _LENGTH_BYTES + int.from_bytes(opened[:_LENGTH_BYTES], "big")
    if len(opened) not in SHOWN_CARD_SIZES or end > len(opened) or opened[end:].strip(b"\0"):
        raise NotTheirKeys
    return opened[_LENGTH_BYTES:end]


def signed_batch(
    leaves: Sequence[bytes],
    mailbox: MailboxId | None,
    sign: Callable[[DeviceSigner, bytes], bytes],
    device: Device,
) -> SignedBatch:
    """One signature over statements whose leaves these are, 32 bytes each, in this order.

    ``sign`` is that of crypto/statements.py for what the statements are.

    Raises:
        ValueError: none, or more than 64.
        OfflineDevice, RolledBack, NotConfirmed.
    """
    signer = signer_of(device)
    batch = Batch(who_am_i(device).key.device, mailbox, len(leaves), root_of(leaves))
    statement = write_batch(batch)
    return SignedBatch(batch, statement, mldsa65_key(signer), sign(signer, statement))


def place_in(leaves: Sequence[bytes], index: int) -> Place:
    """Where the statement with this index is in the batch of these leaves."""
    return Place(index, path_of(leaves, index))


_ASK_AGAIN: Final = timedelta(hours=1)


def tell_of_devices(device: Device) -> list[EntrenousError]:
    """Show our newest card, change our close token, delete mailboxes that are none any more.

    Returns what the relay refused, or did not answer: that is told again the next time.
    """
    problems = list[EntrenousError]()
    for work in (_show_card, _change_close, *_closings(device)):
        try:
            work(device)
        except EntrenousError as error:
            problems.append(error)
    return problems


def close_later(closing: Closing, device: Device) -> None:
    """Have a mailbox deleted as soon as its relay answers, and not before its time."""
    store_record(closing, CLOSE, closing.mailbox.hex(), device.vault)


def close_again(relay_url: str, since: datetime, device: Device) -> None:
    """Have mailboxes deleted once more that were deleted at this relay lately: it may have
    forgotten that, since it was restored. Call it in a transaction.
    """
    for one in list(load_records(Closing, CLOSED, device.vault)):
        if one.closed_at is not None and one.closed_at < since:
            device.vault.drop(CLOSED, one.mailbox.hex())
        elif one.relay_url == relay_url:
            close_later(replace(one, closed_at=None), device)


def closed_at_relays(since: datetime, device: Device) -> set[str]:
    """The relays at which mailboxes were deleted since then."""
    every = load_records(Closing, CLOSED, device.vault)
    return {one.relay_url for one in every if one.closed_at is None or one.closed_at >= since}


def keep_close_token(device: Device) -> None:
    """Tell our relay once more what deletes our mailbox, unless it is to be another one anyway."""
    close = who_am_i(device).home.close
    if close is not None and device.vault.get(SELF, NEXT_CLOSE) is None:
        device.vault.put(SELF, NEXT_CLOSE, close.reveal())


def note_closed(closing: Closing, device: Device) -> None:
    """Remember that a mailbox of a device was deleted, for :func:`close_again`."""
    closed = replace(closing, closed_at=device.clock.now())
    store_record(closed, CLOSED, closing.mailbox.hex(), device.vault)


def still_to_close(device: Device) -> tuple[Closing, ...]:
    """Mailboxes of devices that are not deleted yet."""
    every = load_records(Closing, CLOSE, device.vault)
    return tuple(one for one in every if one.name is not None)


def _show_card(device: Device) -> None:
    if device.vault.get(SELF, CARD_TO_SHOW) is None:
        return
    me = who_am_i(device)
    shown = shown_card(me.card, me.person.id, me.home.mailbox)
    device.courier.publish_card(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    device.vault.drop(SELF, CARD_TO_SHOW)


def _change_close(device: Device) -> None:
    following = device.vault.get(SELF, NEXT_CLOSE)
    identity = load_record(Identity, SELF, IDENTITY, device.vault)
    if following is None or identity is None or identity.home is None:
        return
    home = replace(identity.home, close=Secret(following))
    device.courier.set_close_token(home.relay_url, home.mailbox, home.owner, Secret(following))
    with device.vault.together():
        keep_identity(replace(identity, home=home), device)
        device.vault.drop(SELF, NEXT_CLOSE)


def _closings(device: Device) -> list[Callable[[Device], None]]:
    now, surely = device.clock.now(), believed_now(device)
    every = list(load_records(Closing, CLOSE, device.vault))
    for one in every:
        if one.give_up_at is not None and one.give_up_at <= surely:
            device.vault.drop(CLOSE, one.mailbox.hex())
    return [partial(_close, one) for one in every if _is_due(one, now)]


def _is_due(one: Closing, now: datetime) -> bool:
    """One that is to wait for more than an hour was noted by a clock that was ahead."""
    return one.not_before is None or not now < one.not_before <= now + _ASK_AGAIN


def _close(one: Closing, device: Device) -> None:
    try:
        _delete(one, device)
    except NoSuchMailbox:  # it never came to be; or it was another's, and may be back later
        if one.name is not None:
            _ask_again(one, device)
            return
    except WrongToken:
        if one.name is None:
            raise
        _note_refused(one, one.name, device)
        return
    except Unreachable:
        if one.give_up_at is not None:  # that relay may be gone for good
            close_later(replace(one, not_before=device.clock.now() + _ASK_AGAIN), device)
        raise
    with device.vault.together():
        if one.name is not None:
            note_closed(one, device)
        device.vault.drop(CLOSE, one.mailbox.hex())


def _ask_again(one: Closing, device: Device) -> None:
    """A relay that knows nothing of a mailbox, nor that it was deleted, may have another database
    for a while: it has not shut a device.
    """
    now = device.clock.now()
    give_up_at = one.give_up_at or now + timedelta(days=GONE_DAYS)
    close_later(replace(one, not_before=now + _ASK_AGAIN, give_up_at=give_up_at), device)


def _delete(one: Closing, device: Device) -> None:
    """With the first token that its relay takes; raises WrongToken if it takes none of them."""
    *others, last = (one.token, *one.others)
    for token in others:
        with suppress(WrongToken):
            device.courier.close_mailbox(one.relay_url, one.mailbox, token)
            return
    device.courier.close_mailbox(one.relay_url, one.mailbox, last)


def _note_refused(one: Closing, name: str, device: Device) -> None:
    """What we know deletes it no more: its person is told once. Who knows better may yet delete it,
    so it is asked about again.

    Raises:
        TokenOfBefore: the first time.
    """
    again = device.clock.now() + _ASK_AGAIN
    close_later(replace(one, refused=True, not_before=again), device)
    if not one.refused:
        raise TokenOfBefore(name=name)
