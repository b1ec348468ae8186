"""``entrenous case watch``: watch the web addresses of a case, and check those that are due.

Numbers are printed, never addresses, since the output may end up in the log of a timer.
"""

import sys
import time
from typing import Annotated

import typer

from entrenous.base.language import moment_in_words, translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.case_file import find_case
from entrenous.respond.watch.records import (
    describe_what_site_sees,
    has_agreed_to_watching,
    start_watching,
    stop_watching,
    store_watching_agreement,
    watched_in_case,
)
from entrenous.respond.watch.states import WatchedSighting, watch_state_in_words
from entrenous.terminal.output import hint, print_json, print_line, rfc3339_utc
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import JsonFlag, ask_and_abort_unless_yes


def watch(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The case; with --once, all if left out.")
    ] = None,
    on: Annotated[
        list[int] | None,
        typer.Option(metavar="SIGHTING", help="Watch the sighting with this number."),
    ] = None,
    off: Annotated[
        list[int] | None, typer.Option(metavar="SIGHTING", help="Stop watching it.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Check due addresses once, and end; for cron and timers.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="You agree to what the site sees, and are not asked.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Watch whether the picture is still at the addresses of a case. Off until you use --on."""
    if name is None and (on or off or not once):
        raise typer.BadParameter(translated("give the name of a case, or --once for all cases"))
    by_proxy = session_of(context).settings.proxy is not None
    with opened_device(context) as device:
        if name is not None:
            refuse_unless_adults(find_case(name, device), device.clock.now().date())
            _switch_watching(name, on or [], off or [], device, by_proxy=by_proxy, yes=yes)
        if once:
            _check_due_sightings(name, context, device, as_json=as_json)
        elif name is not None:
            _show_watched(name, watched_in_case(name, device), as_json=as_json)


def _switch_watching(
    name: str, on: list[int], off: list[int], device: Device, *, by_proxy: bool, yes: bool
) -> None:
    if on:
        obtain_watching_agreement(device, by_proxy=by_proxy, yes=yes)
    for number in on:
        start_watching(name, number, device, by_proxy=by_proxy)
    for number in off:
        stop_watching(name, number, device)


def obtain_watching_agreement(device: Device, *, by_proxy: bool, yes: bool) -> None:
    """Explain what a site sees and ask for consent, unless the person agreed before."""
    if has_agreed_to_watching(device, by_proxy=by_proxy):
        return
    for line in describe_what_site_sees(by_proxy=by_proxy):
        hint(line)
    if not yes:
        _ask_agreement()
    store_watching_agreement(device, by_proxy=by_proxy)


def _ask_agreement() -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            translated("there is no terminal to ask you at: if you agree, say --yes")
        )
    ask_and_abort_unless_yes(translated("Do you agree to that?"))


def _check_due_sightings(
    name: str | None, context: typer.Context, device: Device, *, as_json: bool
) -> None:
    from entrenous.device.open_device import with_fast_picture_decoding  # noqa: PLC0415 -- loads decoders
    from entrenous.respond.client.public_web import PublicWeb  # noqa: PLC0415 -- loads httpx
    from entrenous.respond.watch.check_sightings import (  # noqa: PLC0415 -- loads NumPy
        RUN_TIME_MAX_S,
        check_due_sightings,
    )
    from entrenous.respond.watch.polite_web import PoliteWeb  # noqa: PLC0415 -- as above

    proxy = session_of(context).settings.proxy
    web = PoliteWeb(PublicWeb(proxy), time.monotonic, time.sleep)
    looked = []
    by_proxy = proxy is not None
    with with_fast_picture_decoding(device) as decoding:
        for one in check_due_sightings(
            decoding, web, by_proxy=by_proxy, name=name, time_max_s=RUN_TIME_MAX_S
        ):
            looked.append(one)
            if not as_json:
                print_line(_watched_in_words(one.record))
                if one.is_back:
                    print_line(
                        "  "
                        + translated(
                            "The picture is there again. To see the case: "
                            "entrenous case show {case}"
                        ).format(case=one.record.case)
                    )
    if as_json:
        shown = [{**_watched_json(one.record), "back": one.is_back} for one in looked]
        print_json({"schema": "entrenous/watch/1", "looked": shown})
    elif not looked:
        print_line(translated("Nothing is due."))


def _show_watched(name: str, watched: tuple[WatchedSighting, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"schema": "entrenous/watched/1", "watched": [_watched_json(one) for one in watched]}
        )
        return
    for one in watched:
        print_line(_watched_in_words(one))
    if not watched:
        print_line(
            translated(
                "No sighting of {name} is watched. To begin: entrenous case watch {name} --on 1"
            ).format(name=name)
        )
    else:
        first = min(one.due_at for one in watched)
        at = moment_in_words(first)
        print_line(translated("The next check is due on {at}. To run it:").format(at=at))
        print_line("  entrenous case watch --once")


def _watched_in_words(record: WatchedSighting) -> str:
    return translated("{case}, sighting {sighting}: {state}").format(
        case=record.case, sighting=record.sighting, state=watch_state_in_words(record)
    )


def _watched_json(record: WatchedSighting) -> dict[str, object]:
    return {
        "case": record.case,
        "sighting": record.sighting,
        "state": record.state.value,
        "why": record.why.value,
        "in_words": watch_state_in_words(record),
        "looked_at": None if record.looked_at is None else rfc3339_utc(record.looked_at),
        "next_at": rfc3339_utc(record.due_at),
    }
