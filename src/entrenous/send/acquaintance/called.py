"""What people are called now whose copies were made under another name."""

from collections.abc import Callable
from typing import Final

from entrenous.model.ids import PersonId
from entrenous.ports import Device
from entrenous.send.acquaintance.people import as_seen, contacts

Call = Callable[[PersonId | None, str], str]
ANOTHER: Final = "{label} (not the one you know now)"


def called_now(device: Device) -> Call:
    """Say what to call a person whose copy was made for a label.

    That is her name of now; for somebody we know no more, the label, with words behind it if
    somebody else is called so by now. A label that was typed for another channel is nobody's name.
    """
    names = {contact.person.id: contact.name for contact in contacts(device)}
    taken = {as_seen(name) for name in names.values()}

    def call(person: PersonId | None, label: str) -> str:
        if person is None:
            return label
        known = ANOTHER.format(label=label) if as_seen(label) in taken else label
        return names.get(person, known)

    return call
