"""Begin new sessions with somebody whose letters stopped opening, or for whom ours did.

As when one of the two went back to a copy of its vault.
"""

from entrenous.model.notes import Hello
from entrenous.model.person import Contact, YouBlocked
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named
from entrenous.send.devices.self import who_am_i
from entrenous.send.letter.sessions import begin_again
from entrenous.send.letter.write import Addressee, addressees, plain_outer, write_letter
from entrenous.send.tokens.use import has_way
from entrenous.send.tokens.windows import give_window


def repair_sessions(name: str, device: Device) -> Contact:
    """Take fresh prekeys of each of a person's devices, and say hello by them.

    The letters lie in the outbox when this returns.

    Raises:
        UnknownPerson, YouBlocked, OfflineDevice; RelayUnreachable or a refusal, when her relay
        gives nothing to begin with: then everything is as it was.
    """
    contact = contact_named(name, device)
    if contact.blocked:
        raise YouBlocked(name=contact.name)
    with device.vault.together():
        for to in addressees(contact, device):
            if has_way(contact, to.key.device, device):
                _begin_anew(to, device)
    return contact


def _begin_anew(to: Addressee, device: Device) -> None:
    begin_again(to, device)
    window = give_window(to.contact.person, to.key.device, device)
    hello = Hello(who_am_i(device).card, window.seed, window.first, None)
    write_letter(hello, to, plain_outer(device), device)
