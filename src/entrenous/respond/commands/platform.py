"""``entrenous case platform``: where to report a picture, and what the form there asks."""

import sys
from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.language import translated
from entrenous.device.commands import opened_device
from entrenous.respond.abuse_contacts import (
    AbuseLookUpResult,
    explain_how_to_find_host,
    read_contacts_in_text,
)
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.case_file import find_case
from entrenous.respond.nouns import Case
from entrenous.respond.platforms import (
    LookUpNeedsAddress,
    NoSuchPlatform,
    PlatformRecord,
    find_platform,
    host_of,
    platform_by_id,
    shipped_platforms,
)
from entrenous.respond.rdap_services import (
    IANA_LISTS_URL,
    NO_PUBLIC_ADDRESS_MESSAGE,
    describe_what_look_up_reveals,
    is_public_address,
)
from entrenous.respond.report_steps import (
    GENERIC_SITE_RECORD_ID,
    NO_RECORD_NOTE,
    ReportSteps,
    report_steps,
)
from entrenous.respond.situation import Situation
from entrenous.terminal.output import hint, print_json, print_line, single_line
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import (
    STDIN_MARK,
    STDIN_OPTION_ADVICE,
    JsonFlag,
    ask_and_abort_unless_yes,
    read_typed_line,
    read_typed_text,
)


def platform(
    context: typer.Context,
    platform: Annotated[
        str | None,
        typer.Argument(
            metavar="[-|NAME|URL]",
            help=f"A name, or a web address; all if left out. {STDIN_OPTION_ADVICE}",
        ),
    ] = None,
    case: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fill in what to paste from this case.")
    ] = None,
    look_up: Annotated[
        bool,
        typer.Option(
            "--look-up",
            help="Ask the registries for the registrar and the web host of an address (RDAP).",
        ),
    ] = False,
    address: Annotated[
        str, typer.Option(metavar="IP", help="The site's network address, if you know it.")
    ] = "",
    pasted: Annotated[
        str | None,
        typer.Option(
            metavar="-|TEXT", help=f"What WHOIS or RDAP says about the site. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    lists: Annotated[
        str, typer.Option(metavar="URL", help="Address of the lists of RDAP servers (RFC 9224).")
    ] = IANA_LISTS_URL,
    yes: Annotated[bool, typer.Option("--yes", help="Look up without asking first.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show where a picture is reported and what the form asks; needs no vault without --case."""
    today = SystemClock().now().date()
    if platform is None:
        _list_platforms(today, as_json=as_json)
        return
    if address and not is_public_address(address):
        raise typer.BadParameter(translated(NO_PUBLIC_ADDRESS_MESSAGE))
    typed, pasted = _read_platform_and_pasted(context, platform, pasted)
    record = find_platform(typed)
    host = host_of(typed)
    if "." not in host:
        if record is None:
            raise NoSuchPlatform(name=typed[:60])
        if look_up:
            raise LookUpNeedsAddress(name=record.id)
    found = None if pasted is None else read_contacts_in_text(pasted)
    if look_up:
        found = _look_up_contacts(context, host, address, lists, yes=yes)
    steps = report_steps(
        record or platform_by_id(GENERIC_SITE_RECORD_ID),
        _case_or_empty_situation(context, case),
        today,
        "" if record else host,
    )
    if as_json:
        print_json(_report_steps_json(steps, found, known=record is not None))
        return
    for line in (*(() if record else (translated(NO_RECORD_NOTE),)), *steps.text):
        print_line(line)
    _print_contacts(found, typed, known=record is not None)


def _read_platform_and_pasted(
    context: typer.Context, platform: str, pasted: str | None
) -> tuple[str, str | None]:
    if platform == STDIN_MARK and pasted == STDIN_MARK:
        raise typer.BadParameter(
            translated("only one of the address and --pasted can read standard input")
        )
    typed = read_typed_line(platform, translated("A name or a web address"), context)
    return typed, read_typed_text(pasted, translated("What WHOIS or RDAP says"), context)


def _look_up_contacts(
    context: typer.Context, host: str, address: str, lists: str, *, yes: bool
) -> AbuseLookUpResult:
    """Explain who will learn what, and query the registries."""
    from entrenous.respond.client.rdap import look_up_site  # noqa: PLC0415 - loads httpx

    proxy = session_of(context).settings.proxy
    hint(translated("To look this up, this computer asks:"))
    for line in describe_what_look_up_reveals(host, proxy, address, lists):
        hint(f"  {line}")
    if not yes and sys.stdin.isatty():
        ask_and_abort_unless_yes(translated("Ask them now?"))
    return look_up_site(host, address, proxy, lists)


def _print_contacts(looked_up: AbuseLookUpResult | None, typed: str, *, known: bool) -> None:
    if looked_up is None:
        if not known:
            print_line(explain_how_to_find_host(typed))
        return
    print_line()
    for line in looked_up.lines:
        print_line(single_line(line))


def _case_or_empty_situation(context: typer.Context, case: str | None) -> Case | Situation:
    if case is None:
        return Situation(())
    with opened_device(context) as device:
        found = find_case(case, device)
        refuse_unless_adults(found, device.clock.now().date())
        return found


def _list_platforms(today: date, *, as_json: bool) -> None:
    records = shipped_platforms()
    if as_json:
        shown = [_platform_record_json(record, today) for record in records]
        print_json({"schema": "entrenous/platforms/1", "platforms": shown})
        return
    for record in records:
        print_line(f"{record.id}: {'; '.join((record.display_name, *record.cautions(today)))}")
    print_line(translated("One of them, with what its form asks: entrenous case platform NAME"))


def _platform_record_json(record: PlatformRecord, today: date) -> dict[str, object]:
    """Return every column of a record, and the cautions to show with it today."""
    columns = {name: value if value != "" else None for name, value in asdict(record).items()}
    cautions = list(record.cautions(today))
    return {**columns, "read_on": record.read_on.isoformat(), "cautions": cautions}


def _report_steps_json(
    steps: ReportSteps, looked_up: AbuseLookUpResult | None, *, known: bool
) -> dict[str, object]:
    return {
        "schema": "entrenous/platform/1",
        "known": known,
        **_platform_record_json(steps.platform, SystemClock().now().date()),
        "steps": {
            "answers": [asdict(answer) for answer in steps.answers],
            "answers_known": steps.answers_known,
            "before": list(steps.before),
            "in_chats": steps.in_chats or None,
            "after": list(steps.after),
            "text": list(steps.text),
        },
        "looked_up": None
        if looked_up is None
        else {
            "contacts": [asdict(contact) for contact in looked_up.contacts],
            "notes": list(looked_up.notes),
        },
    }
