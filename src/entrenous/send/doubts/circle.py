"""Reasons about a circle as a whole: many see at once what goes to it by one short name."""

from collections.abc import Iterator

from entrenous.model.circle import Circle
from entrenous.send.doubts.scene import Scene


def goes_to_many(circle: Circle, scene: Scene) -> Iterator[str]:
    """Always odd, unless the draft belongs to a conversation of these very people."""
    within = scene.draft.within
    if within is not None and within.people == _present(circle, scene):
        return
    count = len(_present(circle, scene))
    people = "1 person" if count == 1 else f"{count} people"
    yield f"{circle.name} is a circle: this goes to {people}"
    if within is not None:
        yield f"{circle.name} is not the conversation of {within.message}"


def unknown_here(circle: Circle, scene: Scene) -> Iterator[str]:
    """Whoever another device of ours put into it, and has not told this one of yet."""
    unknown = set(circle.people) - {one.person.id for one in scene.known}
    if unknown:
        who = "1 person in it is" if len(unknown) == 1 else f"{len(unknown)} people in it are"
        yield f"{who} not known on this device yet, and will get nothing"


def new_in_it(circle: Circle, scene: Scene) -> Iterator[str]:
    """Whoever came in since something was last sent to this circle."""
    if not circle.sent_to:
        return
    for contact in scene.to:
        if contact.person.id in set(circle.people) - circle.sent_to:
            yield f"{contact.name} is new in {circle.name}"


def _present(circle: Circle, scene: Scene) -> frozenset[bytes]:
    return frozenset(one.person.id for one in scene.to if one.person.id in circle.people)
