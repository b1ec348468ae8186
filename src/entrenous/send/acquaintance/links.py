"""Who came in by links that this device made, and who came too late (docs/spec/identity.md 6)."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.craft.crypto.tokens import send_token
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.letter import Header
from entrenous.model.made_link import LinkEvent, LinkNotice, MadeLink
from entrenous.model.notes import Hello, LinkUsed
from entrenous.model.person import Contact, OnThisMachine, Person, Trust
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_of, contacts, forget_contact, keep_contact
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.doubts.alike import resembles
from entrenous.send.drawers import INVITE, LINK_NOTICE, lay, take, take_all
from entrenous.send.letter.write import Addressee, plain_outer, write_letter
from entrenous.send.moment import this_second
from entrenous.send.odd_clock import believed_now
from entrenous.send.tokens.use import forget_ways, lacks_window, take_window
from entrenous.spec import EXPIRY_DAYS_MAX

_ON_ITS_WAY: Final = timedelta(days=EXPIRY_DAYS_MAX)  # for so long a relay keeps a letter
_UNTOLD_MAX: Final = 1000  # whoever has a link must not fill the vault
_REFUSED_MAX: Final = 64  # of one link: the relay admits a few letters only, unless it lies


def keep_link(made: MadeLink, device: Device) -> None:
    """Store a link that this device made."""
    lay(made, INVITE, made.token.lock.hex(), device.vault)


def link_with(lock: bytes, device: Device) -> MadeLink | None:
    """The link of this device with that lock, as long as a hello that used it in time may come."""
    made = take(MadeLink, INVITE, lock.hex(), device.vault)
    return None if made is None or _is_over(made, device) else made


def drop_old_links(device: Device) -> None:
    """Forget links that no hello may name any more."""
    for made in take_all(MadeLink, INVITE, device.vault):
        if _is_over(made, device):
            device.vault.drop(INVITE, made.token.lock.hex())


def note_joined(made: MadeLink, contact: Contact, by: DeviceId, device: Device) -> None:
    """Count a use and have it told once; call it in the transaction that takes them in."""
    before = _names_of(made, device)
    keep_link(replace(made, used_by=(*made.used_by, contact.person.id)), device)
    notice = _about(LinkEvent.JOINED, contact.name, contact.person, by, device)
    note_link(replace(notice, meant_for=made.name, before=before), device)


def turn_away(made: MadeLink, hello: Hello, person: Person, header: Header, device: Device) -> None:
    """Refuse somebody who came by a link whose uses are gone, and tell both sides once; call it in
    the transaction that opens their hello.

    Whom a link for one person let in counts as unknown from then on, unless keys were compared: two
    people had that link, and nobody can say which of them was meant.
    """
    if person.id in made.refused or len(made.refused) >= _REFUSED_MAX:
        return
    keep_link(replace(made, refused=(*made.refused, person.id)), device)
    if made.uses == 1:
        _doubt(made.used_by[0], device)
    notice = _about(LinkEvent.REFUSED, person.name, person, header.from_device, device)
    notice = replace(notice, meant_for=made.name, before=_names_of(made, device), alike=())
    note_link(replace(notice, for_one=made.uses == 1), device)
    with suppress(OnThisMachine):
        leads_outside(person.relay_url, device)
        _tell_refused(hello, person, header, device)


def come_too_late(note: LinkUsed, contact: Contact, device: Device) -> None:
    """Their link had been used when our hello came, so they do not know us: forget them, and have
    it told once. It means nothing from somebody who has told us how to write to them since.
    """
    knows_us = not all(
        lacks_window(contact.person.id, key.device, device) for key in contact.person.devices
    )
    if knows_us or not same(note.invite_lock, lock_of(contact.send_token)):
        return
    now, called = this_second(device), contact.person.name
    note_link(LinkNotice(LinkEvent.TOO_LATE, now, contact.name, called), device)
    forget_contact(contact.name, device)


def note_elsewhere(contact: Contact, device: Device) -> None:
    """Have it told once that another device of ours knows somebody by a link."""
    first = min(contact.person.devices, key=lambda key: key.created_at)
    notice = _about(LinkEvent.ELSEWHERE, contact.name, contact.person, first.device, device)
    note_link(notice, device)


def names_alike(name: str, person: PersonId, device: Device) -> tuple[str, ...]:
    """What we call others whose names are easily taken for this one."""
    others = (one.name for one in contacts(device) if one.person.id != person)
    return tuple(other for other in others if resembles(name, other))


def note_link(notice: LinkNotice, device: Device) -> None:
    """Keep it until it is told."""
    untold = device.vault.keys(LINK_NOTICE)
    if len(untold) < _UNTOLD_MAX:
        number = int(untold[-1]) + 1 if untold else 0
        lay(notice, LINK_NOTICE, f"{number:012d}", device.vault)


def take_link_notices(device: Device) -> tuple[LinkNotice, ...]:
    """What became of links since this was last asked, the oldest first."""
    with device.vault.together():
        notices = tuple(take_all(LinkNotice, LINK_NOTICE, device.vault))
        for key in device.vault.keys(LINK_NOTICE):
            device.vault.drop(LINK_NOTICE, key)
    return notices


def _about(event: LinkEvent, name: str, person: Person, by: DeviceId, device: Device) -> LinkNotice:
    made_at = next((key.created_at for key in person.devices if key.device == by), None)
    return LinkNotice(
        event=event,
        at=this_second(device),
        name=name,
        called=person.name,
        device=by,
        made_at=made_at,
        alike=names_alike(name, person.id, device),
    )


def _doubt(person: PersonId, device: Device) -> None:
    contact = contact_of(person, device)
    if contact is not None and contact.trust is Trust.BY_LINK:
        keep_contact(replace(contact, trust=Trust.UNKNOWN), device)


def _tell_refused(hello: Hello, person: Person, header: Header, device: Device) -> None:
    """In the session that their hello began; afterwards nothing is kept to write to them with."""
    now, first = this_second(device), send_token(hello.seed, hello.first)
    stranger = Contact(person.name, person, first, Trust.UNKNOWN, now)
    key = next(key for key in person.devices if key.device == header.from_device)
    take_window(header, hello.seed, hello.first, device)
    note = LinkUsed(hello.invite_lock or b"")
    write_letter(note, Addressee(stranger, key), plain_outer(device), device)
    forget_ways(person.id, device)


def _names_of(made: MadeLink, device: Device) -> tuple[str, ...]:
    known = (contact_of(person, device) for person in made.used_by)
    return tuple(one.name for one in known if one is not None)


def _is_over(made: MadeLink, device: Device) -> bool:
    over = made.token.expires_at
    return over is not None and believed_now(device) > over + _ON_ITS_WAY
