"""``entrenous gate exchange ...``: who may fetch from us, and what we fetch from others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.exchange.web import exchange_client
from entrenous.faces.cli.output import hint, in_one_go, put_json, say
from entrenous.faces.cli.stop import exchange_source
from entrenous.model.bank import PEOPLE
from entrenous.model.errors import EntrenousError
from entrenous.model.exchange import Fetched, Source
from entrenous.model.ids import BankName
from entrenous.stop.exchange.partners import add_partner
from entrenous.stop.exchange.tidy import tidy
from entrenous.wiring.exchange import exchange_of, fetch_from
from entrenous.wiring.platform import open_existing

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(gate: typer.Typer) -> None:
    """Add this module's commands to ``entrenous gate``."""
    exchange = typer.Typer(help="Banks of fingerprints between platforms.", no_args_is_help=True)
    partner = typer.Typer(help="Platforms that may fetch from yours.", no_args_is_help=True)
    partner.command("add")(partner_add)
    partner.command("list")(partner_list)
    partner.command("remove")(partner_remove)
    exchange.add_typer(partner, name="partner")
    exchange.command("fetch")(fetch)
    exchange_source.join(exchange)
    gate.add_typer(exchange, name="exchange")


def partner_add(
    name: Annotated[str, typer.Argument(help="2 to 40 of the characters a-z, 0-9 and -.")],
    data: Data,
    bank: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A bank that it may fetch; may be given several times."),
    ] = None,
    may_submit: Annotated[
        bool, typer.Option("--may-submit", help="It may also bring hashes, as waiting claims.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a platform fetch your banks; prints its key, this once."""
    banks = [BankName(one) for one in bank or [PEOPLE]]
    with open_existing(data) as (platform, _):
        for one in banks:
            platform.bank.bank(one)
        key = add_partner(name, banks, exchange_of(platform), submits=may_submit).reveal().decode()
    if as_json:
        said = {"schema": "entrenous/exchange-partner/1", "name": name, "banks": banks}
        put_json(said | {"may_submit": may_submit, "key": key})
        return
    say(f"{name} may fetch: {', '.join(banks)}.")
    say(f"  Its key, shown only now: {key}")
    say("  Under /exchange/ncmec it is the password of that name; under /exchange/stopncii/v1 both")
    say("  the function key and the subscription key. NCMEC clients must run with TZ=UTC.")


def partner_list(data: Data, as_json: AsJson = False) -> None:
    """Who may fetch what, and when they last asked."""
    with open_existing(data) as (platform, _):
        known = exchange_of(platform).partners.partners()
    if as_json:
        shown = [
            {
                "name": one.name,
                "banks": one.banks,
                "may_submit": one.submits,
                "asked_at": one.asked_at.isoformat() if one.asked_at else None,
            }
            for one in known
        ]
        put_json({"schema": "entrenous/exchange-partners/1", "partners": shown})
        return
    for one in known:
        asked = f"last asked {one.asked_at:%Y-%m-%d %H:%M} UTC" if one.asked_at else "never asked"
        say(f"{one.name}: {', '.join(one.banks)}; {asked}")
    if not known:
        say("Nobody may fetch from this gate.")


def partner_remove(
    name: Annotated[str, typer.Argument(help="Its name.")], data: Data, as_json: AsJson = False
) -> None:
    """End a partner's key; what it was served is remembered no more."""
    with open_existing(data) as (platform, _):
        exchange_of(platform).partners.remove(name)
    if as_json:
        put_json({"schema": "entrenous/exchange-partner/1", "name": name, "removed": True})
        return
    say(f"{name} can no longer fetch. What it fetched before, it still has.")


def fetch(
    data: Data,
    names: Annotated[list[str] | None, typer.Argument(help="Sources; all if none.")] = None,
    accept_shrinking: Annotated[
        bool,
        typer.Option(
            "--accept-shrinking",
            help="Also when more than half is gone, or unreadable records came.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch, from where the last fetch ended; what a source withdrew is withdrawn."""
    with open_existing(data) as (platform, _), exchange_client() as client:
        exchange = exchange_of(platform)
        tidy(exchange)
        chosen = [
            exchange.sources.source(name) for name in names or ()
        ] or exchange.sources.sources()
        done, failed = list[tuple[Source, Fetched]](), list[tuple[Source, EntrenousError]]()
        for source in chosen:
            try:
                told = fetch_from(
                    source, exchange, platform, client, accept_shrinking=accept_shrinking
                )
            except EntrenousError as error:
                failed.append((source, error))
            else:
                done.append((source, told))
    _tell(done, failed, as_json=as_json)
    if failed:
        raise failed[-1][1]


def _tell(
    done: Sequence[tuple[Source, Fetched]],
    failed: Sequence[tuple[Source, EntrenousError]],
    *,
    as_json: bool,
) -> None:
    """One source that does not answer does not stop the others."""
    if as_json:
        rows = [_fetched(source, told) for source, told in done]
        rows += [{"source": one.name, "error": in_one_go(str(why))} for one, why in failed]
        put_json({"schema": "entrenous/exchange-fetch/1", "sources": rows})
        return
    for source, told in done:
        say(
            f"{source.name}: {told.made} new, {told.withdrawn} withdrawn, {told.refused} unreadable"
        )
        for reason in told.reasons:
            say(f"  {reason}")
        if told.kept:
            say(f"  {told.kept} were not seen again. That is more than half, or some records could")
            say("  not be read: nothing of that was withdrawn.")
            say("  If that is meant: the same again with --accept-shrinking")
    for source, why in failed[:-1]:
        hint(f"{source.name}: {in_one_go(str(why))}")


def _fetched(source: Source, told: Fetched) -> dict[str, object]:
    return {
        "source": source.name,
        "records": told.records,
        "made": told.made,
        "withdrawn": told.withdrawn,
        "refused": told.refused,
        "reasons": told.reasons,
        "kept": told.kept,
    }
