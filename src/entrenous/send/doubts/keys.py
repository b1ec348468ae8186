"""Reason: their keys changed since something was last sent to them."""

from collections.abc import Iterator

from entrenous.model.person import Contact, Trust
from entrenous.send.doubts.scene import Scene


def keys_changed(contact: Contact, scene: Scene) -> Iterator[str]:
    """Somebody else may hold the new device, or stand in between."""
    talks = scene.talks_with(contact)
    if not talks:
        return
    last = talks[-1]
    if {key.device for key in contact.person.devices} - last.devices:
        yield f"{contact.name} has a device that you have not sent anything to"
    if last.trust is Trust.COMPARED and not contact.compared:
        yield f"{contact.name}'s keys do not count as compared any more"
