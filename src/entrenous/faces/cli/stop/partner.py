"""``entrenous gate partner ...``: other platforms, whose signed opinions count."""

from typing import Annotated

import typer

from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.stop.bank import AsJson, Data
from entrenous.stop.partners import add_partner, drop_partner
from entrenous.wiring.platform import open_existing

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Its Ed25519 public key, 64 hexadecimal digits.")
]


def join(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    partner = typer.Typer(help="Platforms whose opinions count.", no_args_is_help=True)
    partner.command("add")(add)
    partner.command("drop")(drop)
    partner.command("list")(list_partners)
    gate.add_typer(partner, name="partner")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it.")],
    key: Key,
    data: Data,
) -> None:
    """Let a platform's opinions on claims count; its operator gives you the key."""
    with open_existing(data) as (platform, _):
        partner = add_partner(name, key, platform)
    say(f"{partner.name} is known by its key {partner.key.hex()}.")


def drop(
    named: Annotated[str, typer.Argument(metavar="KEY|NAME", help="Its key, or its name.")],
    data: Data,
) -> None:
    """Take no more opinions of a platform; those that it gave stay."""
    with open_existing(data) as (platform, _):
        drop_partner(named, platform)
    say("That platform is not known any more.")


def list_partners(data: Data, as_json: AsJson = False) -> None:
    """Show which platforms are known."""
    with open_existing(data) as (platform, _):
        partners = platform.bank.partners()
    if as_json:
        known = [{"name": one.name, "key": one.key.hex()} for one in partners]
        put_json({"schema": "entrenous/partners/1", "partners": known})
        return
    for one in partners:
        say(f"{one.name}: {one.key.hex()}")
