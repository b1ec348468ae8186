"""Tell our other devices what they do not know yet."""

from dataclasses import replace

from entrenous.craft.wire.identity.sync import write_sync
from entrenous.model.ids import DeviceId
from entrenous.model.link import Sibling
from entrenous.model.sync import Shared, SharedContact
from entrenous.model.window import LentToken
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.devices.self import is_ready, who_am_i
from entrenous.send.devices.siblings import siblings
from entrenous.send.devices.sync.records import all_records, stamp_of
from entrenous.send.drawers import PEER, TOLD, peer_key
from entrenous.send.letter.write import Addressee, addressee_of, plain_outer, write_letter
from entrenous.send.tokens.use import has_way, lend_tokens
from entrenous.spec import LENT_TOKENS


def tell_siblings(device: Device) -> None:
    """Lay out a letter for each thing that one of our other devices does not know yet.

    A device that has not written to us yet is told as soon as it has.
    """
    others = [one for one in siblings(device) if one.heard]
    if not others or not is_ready(device):
        return
    with device.vault.together():
        records = all_records(device)
        for one in others:
            to = addressee_of(who_am_i(device).person.id, one.device, device)
            if to is not None and _is_in_touch(to, device):
                _tell(one, to, records, device)


def note_told(sibling: DeviceId, key: str, device: Device) -> None:
    """Note that another device of ours knows what this one knows now."""
    stamp = stamp_of(key, device)
    if stamp is not None:
        device.vault.put(TOLD, _told_key(sibling, key), _told(key, device))


def forget_told(sibling: DeviceId, device: Device) -> None:
    """Of a device that is none any more."""
    for key in device.vault.keys(TOLD, sibling.hex()):
        device.vault.drop(TOLD, key)


def _is_in_touch(to: Addressee, device: Device) -> bool:
    person, key = to.contact.person.id, to.key.device
    met = device.vault.get(PEER, peer_key(person, key)) is not None
    return met and has_way(to.contact, key, device)


def _tell(one: Sibling, to: Addressee, records: dict[str, Shared], device: Device) -> None:
    for key, shared in records.items():
        told = device.vault.get(TOLD, _told_key(one.device, key))
        if told == _told(key, device):
            continue
        if not _can_be_told(shared):
            continue
        said = _with_tokens(shared, device) if told is None else shared
        if said is not None:
            write_letter(write_sync(said), to, plain_outer(device), device)
            note_told(one.device, key, device)


def _can_be_told(shared: Shared) -> bool:
    """Whether it is as the specification allows; one that is not must stop none of the others, nor
    use up tokens each time.
    """
    try:
        write_sync(shared)
    except ValueError:
        return False
    return True


def _with_tokens(shared: Shared, device: Device) -> Shared | None:
    """What is told for the first time; None of somebody whom we have no tokens for yet."""
    contact = contact_of(shared.person, device) if isinstance(shared, SharedContact) else None
    if contact is None or not isinstance(shared, SharedContact) or contact.blocked:
        return shared
    lent = list[tuple[DeviceId, tuple[LentToken, ...]]]()
    for key in contact.person.devices:
        tokens = lend_tokens(contact.person.id, key.device, LENT_TOKENS, device)
        lent.extend([(key.device, tokens)] if tokens else [])
    return replace(shared, lent=tuple(lent)) if lent else None


def _told(key: str, device: Device) -> bytes:
    stamp = stamp_of(key, device)
    return b"" if stamp is None else int(stamp.at.timestamp()).to_bytes(8, "big") + stamp.digest


def _told_key(sibling: DeviceId, key: str) -> str:
    return f"{sibling.hex()} {key}"
