"""Reasons: somebody who is not in the conversation that the draft belongs to, or who is in it only
as somebody else says.
"""

from collections.abc import Iterator, Sequence

from entrenous.model.message import Draft
from entrenous.model.person import Contact
from entrenous.model.several import several
from entrenous.ports import Device
from entrenous.send.circle.kept import circles
from entrenous.send.doubts.scene import Scene
from entrenous.send.doubts.talks import talks_with


def not_in_it(contact: Contact, scene: Scene) -> Iterator[str]:
    """They have never seen the message that this one goes with."""
    within = scene.draft.within
    if within is not None and contact.person.id not in within.people:
        yield f"{contact.name} is not in the conversation of {within.message}"


def put_there_by_its_sender(contact: Contact, scene: Scene) -> Iterator[str]:
    """Said once for all of them: whoever sends a message says who else has it, and an answer goes
    to these people as well.
    """
    within = scene.draft.within
    if within is None or not scene.told or scene.told[0] is not contact:
        return
    shown = several([one.name for one in scene.told])
    sender = next(
        (one.name for one in scene.known if one.person.id == within.told_by), "its sender"
    )
    yield f"this goes to {shown} too, who as {sender} says got {within.message}"


def told_of(draft: Draft, to: Sequence[Contact], device: Device) -> tuple[Contact, ...]:
    """Recipients who have the message that the draft belongs to by its sender's word alone: nothing
    of ours went to both, and no circle of ours has both.
    """
    within = draft.within
    if within is None or within.told_by is None:
        return ()
    sender = within.told_by
    ours = {talk.message for talk in talks_with(sender, device)}
    around = [set(one.people) for one in circles(device.vault) if sender in one.people]
    return tuple(
        one
        for one in to
        if one.person.id in within.people - {sender}
        and not any(one.person.id in people for people in around)
        and ours.isdisjoint(talk.message for talk in talks_with(one.person.id, device))
    )
