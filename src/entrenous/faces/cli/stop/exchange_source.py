"""``entrenous gate exchange add``, ``remove`` and ``list``: places that a gate fetches from."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.exchange.credentials import variable_of
from entrenous.adapters.exchange.fetchers import check_source
from entrenous.faces.cli.output import put_json, say
from entrenous.model.errors import as_typed
from entrenous.model.exchange import Source, SourceKind
from entrenous.model.ids import BankName
from entrenous.wiring.exchange import exchange_of, remove_source
from entrenous.wiring.platform import open_existing

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(exchange: typer.Typer) -> None:
    """Add this module's commands to ``entrenous gate exchange``."""
    exchange.command("add")(source_add)
    exchange.command("remove")(source_remove)
    exchange.command("list")(source_list)


def source_add(
    name: Annotated[str, typer.Argument(help="2 to 40 of the characters a-z, 0-9 and -.")],
    kind: Annotated[SourceKind, typer.Option(help="How it speaks.")],
    place: Annotated[str, typer.Option("--from", metavar="URL|FILE", help="Address, or file.")],
    bank: Annotated[str, typer.Option(metavar="NAME", help="Bank here; made if it is missing.")],
    data: Data,
    part: Annotated[
        str, typer.Option(metavar="NAME", help="ThreatExchange's group, or HMA's bank.")
    ] = "",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="You stand behind it: fits are refused.")
    ] = False,
    credentials: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its credentials, mode 0600.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Know a place to fetch hashes from. Nothing is fetched yet."""
    file = str(credentials.absolute()) if credentials else ""
    if kind is SourceKind.FILE:
        place = str(Path(place).absolute())
    source = Source(name, kind, place, BankName(bank), part, confirmed, file)
    check_source(source)
    with open_existing(data) as (platform, _):
        exchange_of(platform).sources.add(source)
    if as_json:
        put_json(_source(source) | {"schema": "entrenous/exchange-source/1"})
        return
    fetch = f"entrenous gate exchange fetch {as_typed(name)} --data {as_typed(data)}"
    say(f"{name} is known. Fetch it: {fetch}")
    if kind is not SourceKind.FILE and not file:
        say(f"  Its credentials are taken from {variable_of(source)}.")


def source_remove(
    name: Annotated[str, typer.Argument(help="Its name.")],
    data: Data,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="What it brought matches nothing any more.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="What it brought stays, and nobody withdraws it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Know a source no more. Of what it brought, say what becomes of it."""
    if withdraw and keep:
        raise typer.BadParameter("give --withdraw or --keep")
    wanted = True if withdraw else False if keep else None
    with open_existing(data) as (platform, _):
        removed = remove_source(name, exchange_of(platform), platform, withdraw=wanted)
    if as_json:
        said = {"schema": "entrenous/exchange-source/1", "name": name, "removed": True}
        put_json(said | {"withdrawn": removed.withdrawn, "kept": removed.kept})
        return
    say(f"{name} is not fetched any more.")
    if removed.withdrawn:
        say(f"  {removed.withdrawn:,} claims that it brought are withdrawn.")
    if removed.kept:
        say(f"  {removed.kept:,} claims that it brought stay, also when they are withdrawn there.")


def source_list(data: Data, as_json: AsJson = False) -> None:
    """Sources, how many claims each has here, and when it was last read to its end."""
    with open_existing(data) as (platform, _):
        sources = exchange_of(platform).sources
        known = [
            (one, sources.live(one.name), sources.checkpoint(one.name)) for one in sources.sources()
        ]
    rows = [
        _source(one)
        | {"claims": live, "whole_at": at.whole_at.isoformat() if at.whole_at else None}
        for one, live, at in known
    ]
    if as_json:
        put_json({"schema": "entrenous/exchange-sources/1", "sources": rows})
        return
    for one, live, at in known:
        when = f"{at.whole_at:%Y-%m-%d %H:%M} UTC" if at.whole_at else "never to its end"
        say(f"{one.name} ({one.kind}) into {one.bank}: {live} claims, read {when}")
    if not known:
        say("This gate fetches from nowhere.")


def _source(source: Source) -> dict[str, object]:
    return {
        "name": source.name,
        "kind": source.kind,
        "from": source.place,
        "bank": source.bank,
        "confirmed": source.confirmed,
    }
