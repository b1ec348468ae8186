"""``entrenous case notice``: draft a notice, see it again, and record what became of it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.errors import quote_for_shell
from entrenous.base.language import translatable, translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.case_file import find_case, find_notice
from entrenous.respond.case_status import (
    NoticeEvent,
    record_notice_event,
    record_or_correct_notice_event,
)
from entrenous.respond.commands.case_view import print_case_or_json
from entrenous.respond.letters.draft import draft_and_store_notice, render_notice_pdf
from entrenous.respond.letters.drafted_notices import (
    compare_notices,
    notice_list_lines,
    notice_versions,
    store_reference_number,
)
from entrenous.respond.letters.preview import format_notice_preview
from entrenous.respond.letters.sightings import left_out_sightings
from entrenous.respond.nouns import Case, Notice
from entrenous.terminal.output import print_json, print_line, rfc3339_utc
from entrenous.terminal.output_files import write_new
from entrenous.terminal.typed_input import STDIN_MARK, JsonFlag, read_typed_line, time_option

_USAGE_ERROR: Final = translatable(
    "give one of --route, --show, --compare, --number-of, or an event: --sent, --received, "
    "--asked, --supplied, --partly, --removed, --refused, --withdrawn"
)
_REFERENCE_PROMPT: Final = translatable("The number (and PIN) that they gave you")


def _number_option(about: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="NUMBER", help=about)
    return option


def notice(
    context: typer.Context,
    name: str,
    route: Annotated[
        str | None, typer.Option(metavar="ID", help="A route of: entrenous law routes")
    ] = None,
    sighting: Annotated[
        list[int] | None,
        typer.Option(
            metavar="NUMBER", help="The number of a sighting that the letter should name."
        ),
    ] = None,
    language: Annotated[
        str, typer.Option(metavar="TAG", help="Language of the letter: en, de, fr, es, pt.")
    ] = "",
    show: Annotated[int | None, _number_option("Show the notice with this number again.")] = None,
    compare_two: Annotated[
        tuple[int, int] | None,
        typer.Option("--compare", metavar="N M", help="Show what changed between two notices."),
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the letter as PDF to a new file.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the letter as text to a new file.")
    ] = None,
    number_of: Annotated[
        int | None,
        _number_option("Record their reference number for this notice; you are asked for it."),
    ] = None,
    sent: Annotated[
        int | None, _number_option("Note that you sent the notice with this number.")
    ] = None,
    received: Annotated[int | None, _number_option("Note that they confirmed its receipt.")] = None,
    asked: Annotated[
        int | None, _number_option("Note that they asked for more information.")
    ] = None,
    supplied: Annotated[
        int | None, _number_option("Note that you gave them what they asked for.")
    ] = None,
    partly: Annotated[int | None, _number_option("Note that they removed only part of it.")] = None,
    removed: Annotated[int | None, _number_option("Note that they removed the picture.")] = None,
    refused: Annotated[int | None, _number_option("Note that they refused.")] = None,
    withdrawn: Annotated[int | None, _number_option("Note that you withdrew your request.")] = None,
    at: Annotated[
        datetime | None, time_option("When that happened, in UTC; now if left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the notices of a case, draft or show one, or note what became of one. Nothing is sent
    from here.
    """
    typed = {
        NoticeEvent.SEND: sent,
        NoticeEvent.RECEIPT: received,
        NoticeEvent.ASK: asked,
        NoticeEvent.SUPPLY: supplied,
        NoticeEvent.PARTIAL: partly,
        NoticeEvent.REMOVAL: removed,
        NoticeEvent.REFUSAL: refused,
        NoticeEvent.WITHDRAW: withdrawn,
    }
    happened = [(event, number) for event, number in typed.items() if number is not None]
    acts = [one for one in (route, show, compare_two, number_of) if one is not None]
    if len(happened) + len(acts) > 1:
        raise typer.BadParameter(translated(_USAGE_ERROR))
    if (sighting or language) and route is None:
        raise typer.BadParameter(translated("--sighting and --language go with --route ID"))
    if (pdf or text) and route is None and show is None:
        raise typer.BadParameter(translated("--pdf and --text go with --route ID or --show NUMBER"))
    reference = (
        read_typed_line(STDIN_MARK, translated(_REFERENCE_PROMPT), context)
        if number_of is not None
        else ""
    )
    with opened_device(context) as device:
        if route is not None:
            drafted = draft_and_store_notice(name, route, device, tuple(sighting or ()), language)
            _show_notice(name, drafted.number, device, pdf, text, as_json=as_json)
        elif show is not None:
            _show_notice(name, show, device, pdf, text, as_json=as_json)
        elif compare_two is not None:
            _print_comparison(find_case(name, device), *compare_two, as_json=as_json)
        elif number_of is not None:
            print_case_or_json(
                store_reference_number(name, number_of, reference, device), device, as_json=as_json
            )
        elif happened:
            ((event, number),) = happened
            moment = at or device.clock.now()
            # a repeated command without a time corrects nothing
            record = record_notice_event if at is None else record_or_correct_notice_event
            print_case_or_json(record(name, number, event, moment, device), device, as_json=as_json)
        else:
            _list_notices(find_case(name, device), as_json=as_json)


def _show_notice(
    name: str,
    number: int,
    device: Device,
    pdf: Path | None,
    text: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show one notice, and write the files asked for."""
    case = find_case(name, device)
    one = find_notice(case, number)
    _write_files(one, pdf, text)
    if as_json:
        print_json({"schema": "entrenous/notice/1", "case": name, **_notice_json(one, case)})
        return
    print_line(format_notice_preview(one, case, device.clock.now().date()))
    for file in (pdf, text):
        if file is not None:
            print_line(translated("Written: {file}").format(file=file))
    if one.reference:
        print_line(translated("Their number: {reference}").format(reference=one.reference))
    if one.sent_at is None:
        command = f"entrenous case notice {quote_for_shell(name)} --sent {number}"
        print_line(
            translated("This is notice {number}. Once you have sent it: {command}").format(
                number=number, command=command
            )
        )


def _write_files(notice: Notice, pdf: Path | None, text: Path | None) -> None:
    """Write the files whole, or none of them if the PDF cannot be made."""
    made = []
    if pdf is not None:
        made.append((pdf, render_notice_pdf(notice)))
    if text is not None:
        made.append((text, f"{notice.letter}\n".encode()))
    for file, data in made:
        write_new(file, data)


def _print_comparison(case: Case, first: int, second: int, *, as_json: bool) -> None:
    changes = compare_notices(case, first, second)
    if as_json:
        print_json(
            {
                "schema": "entrenous/notice-comparison/1",
                "case": case.name,
                "notices": [first, second],
                "changes": changes.splitlines(),
            }
        )
    else:
        print_line(changes)


def _list_notices(case: Case, *, as_json: bool) -> None:
    if as_json:
        shown = [_notice_summary(one.notice, one.version) for one in notice_versions(case)]
        print_json({"schema": "entrenous/notices/1", "case": case.name, "notices": shown})
        return
    for line in notice_list_lines(case):
        print_line(line)


def _notice_json(notice: Notice, case: Case) -> dict[str, object]:
    version = next(other.version for other in notice_versions(case) if other.notice == notice)
    return {
        **_notice_summary(notice, version),
        "provision": notice.route.provision,
        "source": notice.route.source,
        "read_on": notice.route.read_on.isoformat(),
        "letter": notice.letter,
        "sightings": [sighting.number for sighting in notice.named_sightings],
        "left_out": [
            sighting.number
            for sighting in left_out_sightings(notice.named_sightings, case, notice.route)
        ],
        "missing": list(notice.missing),
        "sent": notice.sent_at is not None,
        "reference": notice.reference,
    }


def _notice_summary(notice: Notice, version: int) -> dict[str, object]:
    return {
        "notice": notice.number,
        "route": notice.route.id,
        "law": notice.route.law,
        "to": notice.to,
        "document": notice.route.document.value,
        "language": notice.language,
        "version": version,
        "state": notice.state.value,
        "drafted_at": rfc3339_utc(notice.drafted_at),
        "sent_at": None if notice.sent_at is None else rfc3339_utc(notice.sent_at),
    }
