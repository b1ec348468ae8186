"""``entrenous gate exchange`` and ``gate follow``: who may fetch from us, and what we fetch."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from entrenous.base.errors import EntrenousError, quote_for_shell
from entrenous.base.identifiers import BankName
from entrenous.connectors.exchange.exchange_client import credentials_variable, new_exchange_client
from entrenous.connectors.exchange.fetchers import check_source, fetch_from
from entrenous.serving.server_process import LogKind, start_log
from entrenous.stop.banks import bank_name_for_list
from entrenous.stop.exchange_fetch import FetchSchedule
from entrenous.stop.exchange_nouns import (
    ExchangeServices,
    FetchAlreadyRunning,
    FetchResult,
    Source,
    SourceKind,
)
from entrenous.stop.exchange_serving import add_exchange_partner, update_exchange_state
from entrenous.stop.gate_settings import read_gate_settings
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.store.open_gate import open_exchange, open_existing, remove_source
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line

GateFolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def source_add(
    name: Annotated[
        str, typer.Argument(help="2 to 40 of the characters a-z, 0-9 and -; no - at either end.")
    ],
    kind: Annotated[SourceKind, typer.Option(help="Its protocol.")],
    place: Annotated[
        str, typer.Option("--from", metavar="URL|FILE", help="The source's address, or a file.")
    ],
    bank: Annotated[
        str, typer.Option(metavar="NAME", help="Bank to fetch into; created if it is missing.")
    ],
    data: GateFolderOption,
    part: Annotated[
        str, typer.Option(metavar="NAME", help="The group at ThreatExchange, or the bank at HMA.")
    ] = "",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="You vouch for this source: matches are refused.")
    ] = False,
    credentials: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the source's credentials, of mode 0600."),
    ] = None,
    as_json: AsJsonOption = False,
) -> None:
    """Add a source of hashes. Nothing is fetched yet."""
    file = str(credentials.absolute()) if credentials else ""
    if kind is SourceKind.FILE:
        place = str(Path(place).absolute())
    with open_existing(data) as (platform, _):
        into = bank_name_for_list(bank, platform)
        source = Source(name, kind, place, into, part, confirmed, file)
        check_source(source)
        open_exchange(platform).sources.add(source)
    if as_json:
        print_json(_source_json(source) | {"schema": "entrenous/exchange-source/1"})
        return
    fetch = f"entrenous gate exchange fetch {quote_for_shell(name)} --data {quote_for_shell(data)}"
    print_line(f"{name} was added. Fetch it: {fetch}")
    if kind is not SourceKind.FILE and not file:
        print_line(f"  Its credentials are read from {credentials_variable(source)}.")


def source_remove(
    name: Annotated[str, typer.Argument(help="Its name.")],
    data: GateFolderOption,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Withdraw its hashes; they match nothing any more.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep its hashes, though nobody will withdraw them.")
    ] = False,
    as_json: AsJsonOption = False,
) -> None:
    """Remove a source, and say what to do with its hashes."""
    if withdraw and keep:
        raise typer.BadParameter("give --withdraw or --keep")
    wanted = True if withdraw else False if keep else None
    with open_existing(data) as (platform, _):
        removed = remove_source(name, open_exchange(platform), platform, withdraw=wanted)
    if as_json:
        document = {"schema": "entrenous/exchange-source/1", "name": name, "removed": True}
        print_json(document | {"withdrawn": removed.withdrawn, "kept": removed.kept})
        return
    print_line(f"{name} was removed, and is not fetched any more.")
    if removed.withdrawn:
        print_line(f"  {removed.withdrawn:,} of its claims are withdrawn.")
    if removed.kept:
        print_line(f"  {removed.kept:,} of its claims stay, even when they are withdrawn there.")


def source_list(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """List sources, their number of claims here, and when each was last read to its end."""
    with open_existing(data) as (platform, _):
        sources = open_exchange(platform).sources
        known = [
            (one, sources.count_records_with_claim(one.name), sources.checkpoint(one.name))
            for one in sources.sources()
        ]
    rows = [
        _source_json(one)
        | {"claims": live, "whole_at": at.whole_at.isoformat() if at.whole_at else None}
        for one, live, at in known
    ]
    if as_json:
        print_json({"schema": "entrenous/exchange-sources/1", "sources": rows})
        return
    for one, live, at in known:
        when = f"{at.whole_at:%Y-%m-%d %H:%M} UTC" if at.whole_at else "never to its end"
        print_line(f"{one.name} ({one.kind}) into {one.bank}: {live} claims, read {when}")
    if not known:
        print_line("This gate has no sources.")


def _source_json(source: Source) -> dict[str, object]:
    return {
        "name": source.name,
        "kind": source.kind,
        "from": source.place,
        "bank": source.bank,
        "confirmed": source.confirmed,
    }


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    gate.command("follow", hidden=True)(fetch_sources_at_interval)
    exchange = typer.Typer(
        help="Exchange banks of fingerprints with other platforms.", no_args_is_help=True
    )
    partner = typer.Typer(help="Platforms that may fetch from yours.", no_args_is_help=True)
    partner.command("add")(partner_add)
    partner.command("list")(partner_list)
    partner.command("remove")(partner_remove)
    exchange.add_typer(partner, name="partner")
    exchange.command("fetch")(fetch_sources)
    exchange.command("add")(source_add)
    exchange.command("remove")(source_remove)
    exchange.command("list")(source_list)
    gate.add_typer(exchange, name="exchange")


def partner_add(
    name: Annotated[
        str, typer.Argument(help="2 to 40 of the characters a-z, 0-9 and -; no - at either end.")
    ],
    data: GateFolderOption,
    bank: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A bank that it may fetch; may be given several times."),
    ] = None,
    may_submit: Annotated[
        bool, typer.Option("--may-submit", help="It may also submit hashes, as waiting claims.")
    ] = False,
    as_json: AsJsonOption = False,
) -> None:
    """Let a platform fetch your banks; prints its key once."""
    banks = [BankName(one) for one in bank or [PEOPLE_BANK]]
    with open_existing(data) as (platform, _):
        for one in banks:
            platform.bank.bank(one)
        key = (
            add_exchange_partner(name, banks, open_exchange(platform), submits=may_submit)
            .reveal()
            .decode()
        )
    if as_json:
        document = {"schema": "entrenous/exchange-partner/1", "name": name, "banks": banks}
        print_json(document | {"may_submit": may_submit, "key": key})
        return
    print_line(f"{name} may fetch: {', '.join(banks)}.")
    print_line(f"  Its key, shown only now: {key}")
    print_line(
        "  Under /exchange/ncmec it is the password of that name; under /exchange/stopncii/v1 both"
    )
    print_line("  the function key and the subscription key. NCMEC clients must run with TZ=UTC.")


def partner_list(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """List who may fetch what, and when each of them last asked."""
    with open_existing(data) as (platform, _):
        known = open_exchange(platform).partners.partners()
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
        print_json({"schema": "entrenous/exchange-partners/1", "partners": shown})
        return
    for one in known:
        asked = f"last asked {one.asked_at:%Y-%m-%d %H:%M} UTC" if one.asked_at else "never asked"
        print_line(f"{one.name}: {', '.join(one.banks)}; {asked}")
    if not known:
        print_line("Nobody may fetch from this gate.")


def partner_remove(
    name: Annotated[str, typer.Argument(help="Its name.")],
    data: GateFolderOption,
    as_json: AsJsonOption = False,
) -> None:
    """Revoke a partner's key, and forget what it was served."""
    with open_existing(data) as (platform, _):
        open_exchange(platform).partners.remove(name)
    if as_json:
        print_json({"schema": "entrenous/exchange-partner/1", "name": name, "removed": True})
        return
    print_line(f"{name} can no longer fetch. What it fetched before, it still has.")


def fetch_sources(
    data: GateFolderOption,
    names: Annotated[list[str] | None, typer.Argument(help="Sources; all if none.")] = None,
    accept_shrinking: Annotated[
        bool,
        typer.Option(
            "--accept-shrinking",
            help="Store the result even if over half of the source is gone, or some records "
            "cannot be read.",
        ),
    ] = False,
    as_json: AsJsonOption = False,
) -> None:
    """Fetch from where the last fetch ended; claims withdrawn at the source are withdrawn here."""
    with open_existing(data) as (platform, _), new_exchange_client() as client:
        exchange = open_exchange(platform)
        update_exchange_state(exchange)
        chosen = [
            exchange.sources.source(name) for name in names or ()
        ] or exchange.sources.sources()
        done, failed = list[tuple[Source, FetchResult]](), list[tuple[Source, EntrenousError]]()
        for source in chosen:
            try:
                result = fetch_from(
                    source, exchange, platform, client, accept_shrinking=accept_shrinking
                )
            except EntrenousError as error:
                failed.append((source, error))
            else:
                done.append((source, result))
    _print_fetch_results(done, failed, as_json=as_json)
    if failed:
        raise failed[-1][1]


def _print_fetch_results(
    done: Sequence[tuple[Source, FetchResult]],
    failed: Sequence[tuple[Source, EntrenousError]],
    *,
    as_json: bool,
) -> None:
    """Print the result of each fetch, and the error of each source that failed."""
    if as_json:
        rows = [_fetch_json(source, result) for source, result in done]
        rows += [{"source": one.name, "error": join_wrapped_lines(str(why))} for one, why in failed]
        print_json({"schema": "entrenous/exchange-fetch/1", "sources": rows})
        return
    for source, result in done:
        print_line(
            f"{source.name}: {result.made} new, {result.withdrawn} withdrawn, "
            f"{result.refused} unreadable"
        )
        for reason in result.reasons:
            print_line(f"  {reason}")
        if result.kept:
            print_line(
                f"  {result.kept} are missing there now: more than half, or some records could not"
            )
            print_line("  be read. So nothing was withdrawn.")
            print_line("  If the source is right, fetch it again with --accept-shrinking")
    for source, why in failed[:-1]:
        hint(f"{source.name}: {join_wrapped_lines(str(why))}")


def _fetch_json(source: Source, result: FetchResult) -> dict[str, object]:
    return {
        "source": source.name,
        "records": result.records,
        "made": result.made,
        "withdrawn": result.withdrawn,
        "refused": result.refused,
        "reasons": result.reasons,
        "kept": result.kept,
    }


_CHECK_INTERVAL_S_MAX: Final = 30.0
_CHECKS_PER_INTERVAL: Final = 10  # how many times per interval to check which sources are due
_LOG: Final = logging.getLogger("entrenous.gate")


def fetch_sources_at_interval(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
) -> None:
    """Fetch each source at the interval in the gate's settings, until standard input ends."""
    start_log(LogKind.ERRORS, sys.stderr)
    every = timedelta(minutes=read_gate_settings(data).fetch_minutes)
    if not every:
        return
    threading.Thread(target=_exit_at_input_end, daemon=True).start()
    with open_existing(data) as (platform, _), new_exchange_client() as client:
        schedule, exchange = FetchSchedule(every), open_exchange(platform)
        look_s = min(_CHECK_INTERVAL_S_MAX, every.total_seconds() / _CHECKS_PER_INTERVAL)
        while True:
            fetch_due_sources(schedule, exchange, platform, client)
            threading.Event().wait(look_s)


def fetch_due_sources(
    schedule: FetchSchedule, exchange: ExchangeServices, platform: Platform, client: httpx.Client
) -> None:
    """Fetch due sources; a failing one does not stop the others.

    Only the class of an error is logged, since its message may contain addresses and paths.
    """
    for source in _due_sources(schedule, exchange):
        try:
            result = fetch_from(source, exchange, platform, client)
        except FetchAlreadyRunning:
            schedule.record_running_elsewhere(source.name, exchange.clock.now())
        except Exception as why:  # noqa: BLE001 -- an answer that causes a bug must not end the process
            wait = schedule.record_failure(source.name, exchange.clock.now())
            log_fields = {"event": "fetch-failed", "kind": type(why).__name__}
            log_fields["again_s"] = str(round(wait.total_seconds()))
            _LOG.warning("fetch failed: %(kind)s", log_fields, extra={"said": log_fields})
        else:
            schedule.record_success(source.name)
            _warn_about_incomplete_fetch(result)


def _due_sources(schedule: FetchSchedule, exchange: ExchangeServices) -> list[Source]:
    """Return the due sources; none while the database is unreachable."""
    sources, now = exchange.sources, exchange.clock.now()
    try:
        return [
            one
            for one in sources.sources()
            if schedule.is_due(one.name, sources.checkpoint(one.name), now)
        ]
    except EntrenousError as why:
        log_fields = {"event": "fetch-waits", "kind": type(why).__name__}
        _LOG.warning("fetch waits: %(kind)s", log_fields, extra={"said": log_fields})
        return []


def _warn_about_incomplete_fetch(result: FetchResult) -> None:
    """Warn the operator if missing records were not withdrawn, or some could not be read."""
    if result.kept or result.refused:
        log_fields = {
            "event": "fetch-incomplete",
            "kept": result.kept,
            "unreadable": result.refused,
        }
        _LOG.warning("fetch incomplete: %(kept)d kept", log_fields, extra={"said": log_fields})


def _exit_at_input_end(exit_process: Callable[[int], object] = os._exit) -> None:
    """Exit at once when standard input ends, even in the middle of a page.

    The next fetch resumes at the checkpoint, as after a crash.
    """
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    exit_process(0)
