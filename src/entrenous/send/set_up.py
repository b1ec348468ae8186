"""Set up a device: keys for its owner and for the device, and a mailbox at a relay, at once or
later. Finish an interrupted set-up.
"""

from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.secret import Secret
from entrenous.crypto.identity_keys import (
    MASTER_SEED_BYTES,
    MLDSA65_SEED_BYTES,
    master_keys_from_seed,
    new_device_signer,
)
from entrenous.crypto.statements import verify_key_bundle
from entrenous.device.device import Device
from entrenous.device.identities import (
    OWN_IDENTITY,
    SETUP_UNFINISHED_RECORD,
    BadRelayAddress,
    Identity,
    MailboxAddress,
    own_device,
    store_identity,
    store_signer,
)
from entrenous.device.lock_errors import UnfinishedDevice
from entrenous.device.vault_tables import OWN_RECORDS
from entrenous.send.clock_sanity import now_in_whole_seconds, record_clock
from entrenous.send.devices.own_key_bundle import (
    certify_device,
    make_first_device_list,
    seal_key_bundle,
    sign_bundle,
)
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.people.keep_contacts import refuse_bad_name
from entrenous.wire.cbor import BadCbor
from entrenous.wire.key_bundle import write_key_bundle
from entrenous.wire.text import as_relay_url


def set_up(name: str, relay_url: str | None, device: Device) -> Identity:
    """Give an empty vault its owner. Without a relay the device can mark and trace, and needs no
    keys.

    Raises:
        BadName, BadRelayAddress, NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    refuse_bad_name(name)
    if relay_url is None:
        identity = Identity(name, _new_device_id(device), now_in_whole_seconds(device))
        store_identity(identity, device)
        return identity
    home = _new_mailbox_address(normalized_relay_address(relay_url), device)
    identity = _make_and_store_keys(name, _new_device_id(device), home, device)
    finish_set_up(device)
    return identity


def join_relay(relay_url: str, device: Device) -> Identity:
    """Give a device that was set up without a relay its keys and a mailbox. A device that
    already has a relay keeps it.

    Its vault gets a lock at the relay afterwards (:func:`.lock_at_first_relay`), at the latest when
    it is next unlocked. If the relay does not create a mailbox, nothing is stored.

    Raises:
        UnfinishedDevice, BadRelayAddress, NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    before = OWN_IDENTITY.load(device.vault)
    if before is None:
        raise UnfinishedDevice
    if before.home is not None:
        return before
    home = _new_mailbox_address(normalized_relay_address(relay_url), device)
    device.courier.create_mailbox(home.relay_url, home.mailbox, home.owner, home.close)
    identity = _make_and_store_keys(before.name, before.device, home, device)
    finish_set_up(device)
    return identity


def normalized_relay_address(relay_url: str) -> str:
    """Normalize a relay's address; raises BadRelayAddress."""
    try:
        return as_relay_url(relay_url.rstrip("/"))
    except BadCbor:
        raise BadRelayAddress from None


def _new_mailbox_address(relay_url: str, device: Device) -> MailboxAddress:
    tokens = (Secret(device.random_source.token(32)) for _ in ("owner", "close"))
    return MailboxAddress(relay_url, MailboxId(device.random_source.token(ID_BYTES)), *tokens)


def _make_and_store_keys(
    name: str, device_id: DeviceId, home: MailboxAddress, device: Device
) -> Identity:
    """Make the owner's and the device's keys, and store them with the address of the mailbox."""
    master = master_keys_from_seed(device.random_source.token(MASTER_SEED_BYTES))
    now = now_in_whole_seconds(device)
    signer = new_device_signer(device.random_source.token(MLDSA65_SEED_BYTES))
    signed = certify_device(master, signer, device_id, now)
    card = sign_bundle(master, (make_first_device_list(name, home, signed, now),), (signed,))
    identity = Identity(
        name=name,
        device=signed.certificate.device,
        created_at=now,
        home=home,
        person=verify_key_bundle(card),
        card=write_key_bundle(card),
        master=master,
    )
    with device.vault.transaction():
        store_signer(signer, device)
        store_identity(identity, device)
        device.vault.put(OWN_RECORDS, SETUP_UNFINISHED_RECORD, b"")
        record_clock(device)
    return identity


def finish_set_up(device: Device) -> None:
    """Create the mailbox and publish keys, unless that was done before; safe to repeat. The
    next command after an interrupted set-up calls it.

    Raises:
        NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    if device.vault.get(OWN_RECORDS, SETUP_UNFINISHED_RECORD) is None:
        return
    me = own_device(device)
    home = me.home
    device.courier.create_mailbox(home.relay_url, home.mailbox, home.owner, home.close)
    bundle = seal_key_bundle(me.card, me.person.id, home.mailbox)
    device.courier.publish_key_bundle(home.relay_url, home.mailbox, home.owner, bundle)
    publish_prekeys(device)
    device.vault.drop(OWN_RECORDS, SETUP_UNFINISHED_RECORD)


def _new_device_id(device: Device) -> DeviceId:
    return DeviceId(device.random_source.token(ID_BYTES))
