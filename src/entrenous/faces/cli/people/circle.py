"""``entrenous circle ...``."""

from typing import Annotated

import typer

from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import put_json, say
from entrenous.model.circle import Circle
from entrenous.model.errors import as_typed
from entrenous.ports import Device
from entrenous.send.circle.kept import circles
from entrenous.send.circle.members import add_to_circle, people_in, remove_from_circle

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
People = Annotated[
    list[str] | None, typer.Option("--person", metavar="NAME", help="A person; may be repeated.")
]


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(help="People whom you send to together.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_circles)
    group.command("remove")(remove)
    app.add_typer(group, name="circle")


def add(context: typer.Context, name: str, person: People = None, as_json: Json = False) -> None:
    """Put people into a circle, which is made if there is none of that name.

    Its name stays on your devices. Everybody gets a copy of their own and sees who else has it. A
    number goes along, by which its people can tell that two messages went to the same circle.
    """
    with device_of(context) as device:
        circle = add_to_circle(name, person or [], device)
        people = _people(circle, device)
    if as_json:
        put_json({"schema": "entrenous/circle/1", "name": circle.name, "people": people})
        return
    say(f"{circle.name}: {', '.join(people)}")
    say(f"next: entrenous send PHOTO --to {as_typed(circle.name)}")


def list_circles(context: typer.Context, as_json: Json = False) -> None:
    """Your circles, and who is in them."""
    with device_of(context) as device:
        every = {circle.name: _people(circle, device) for circle in circles(device.vault)}
    if as_json:
        listed = [{"name": name, "people": people} for name, people in every.items()]
        put_json({"schema": "entrenous/circles/1", "circles": listed})
        return
    for name, people in every.items():
        say(f"{name}: {', '.join(people)}")
    if not every:
        say("None yet. Make one: entrenous circle add NAME --person NAME")


def remove(context: typer.Context, name: str, person: People = None, as_json: Json = False) -> None:
    """Take people out of a circle, or let go of the whole circle; the people stay."""
    with device_of(context) as device:
        left = remove_from_circle(name, person or [], device)
        people = [] if left is None else _people(left, device)
    if as_json:
        put_json({"schema": "entrenous/circle/1", "name": name, "people": people})
        return
    say(f"{name} is no circle any more." if left is None else f"{name}: {', '.join(people)}")


def _people(circle: Circle, device: Device) -> list[str]:
    return [contact.name for contact in people_in(circle, device)]
