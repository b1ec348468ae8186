"""``entrenous case ...``: a person's file about one leak, and what an organisation must do after a
breach of its own systems.
"""

import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.errors import quote_for_shell
from entrenous.base.language import day_in_words, translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.age_gate import SomebodyUnder18, check_age_answer
from entrenous.respond.breach import (
    CaseHasNoBreach,
    NoBreachLaw,
    breach_duties_in_words,
    record_breach,
    record_breach_notified,
    unstored_breach_deadline_text,
)
from entrenous.respond.case_file import all_cases, case_summaries, find_case
from entrenous.respond.case_status import (
    ARCHIVE_KEEPS_CASE_NOTE,
    close_case,
    erase_case,
    erasure_receipt,
    reopen_case,
)
from entrenous.respond.commands.add import add
from entrenous.respond.commands.case_view import (
    advice_to_name_place,
    case_json,
    next_step_in_words,
    print_case_or_json,
)
from entrenous.respond.commands.deadline import calendar
from entrenous.respond.commands.notice import notice
from entrenous.respond.commands.platform import platform
from entrenous.respond.commands.safety import (
    DemandOption,
    SafeOption,
    SpreadOption,
    WatchedOption,
    ask_about_safety,
    ask_age,
    ask_spread,
    hint_without_device,
)
from entrenous.respond.commands.situation_options import (
    AlteredOption,
    ForSomebodyElseOption,
    HideMyNameOption,
    IntimateOption,
    PlacesOption,
    PlatformInOption,
    SenderKnownOption,
    ShowsMeOption,
    TakenByMeOption,
    Under18Option,
)
from entrenous.respond.commands.watch import watch
from entrenous.respond.law.places import Place, parse_place
from entrenous.respond.nouns import (
    AgeAnswer,
    Case,
    Representative,
    RepresentativeRole,
)
from entrenous.respond.open_case import (
    ADVICE_BEFORE_CAPTURE,
    add_facts_to_case,
    find_trace,
    open_case,
    record_representative,
    record_somebody_under_18,
    representative_with_consent,
)
from entrenous.respond.safety import SafetyAnswers
from entrenous.respond.situation import PictureMaker, Situation
from entrenous.respond.threat import is_threat_only
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.output_files import FileGroup
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import (
    STDIN_OPTION_ADVICE,
    JsonFlag,
    ask_and_abort_unless_yes,
    read_typed_line,
    refuse_two_stdin_options,
    time_option,
)
from entrenous.wire.encodings import canonical_json

PlatformOption = Annotated[
    str,
    typer.Option(
        metavar="-|NAME",
        help=f"The platform on which it is, or from which the threat comes. {STDIN_OPTION_ADVICE}",
    ),
]
ConsentOption = Annotated[
    str,
    typer.Option(
        metavar="-|TEXT", help=f"Who agreed that you act, how, and to what. {STDIN_OPTION_ADVICE}"
    ),
]
_PICTURE_MAKER_BY_ANSWER: Final = {
    True: PictureMaker.ME,
    False: PictureMaker.SOMEBODY_ELSE,
    None: PictureMaker.UNSAID,
}


def add_commands(app: typer.Typer) -> None:
    case = typer.Typer(
        help="A file about one leak: what you saw, stored and asked for.", no_args_is_help=True
    )
    case.command("open")(open_)
    case.command("about")(about)
    case.command("list")(list_cases)
    case.command("show")(show)
    case.command("add")(add)
    case.command("notice")(notice)
    case.command("breach")(breach)
    case.command("platform")(platform)
    case.command("watch")(watch)
    case.command("calendar")(calendar)
    case.command("close")(close)
    case.command("erase")(erase)
    app.add_typer(case, name="case")


def open_(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A closed case to reopen.")] = None,
    from_trace: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Number of a trace.")
    ] = None,
    place: PlacesOption = None,
    adults: Annotated[
        bool, typer.Option("--adults", help="Everybody in the picture was 18 or older.")
    ] = False,
    under_18: Under18Option = False,
    intimate: IntimateOption = None,
    altered: AlteredOption = None,
    taken_by_me: TakenByMeOption = None,
    hide_my_name: HideMyNameOption = False,
    posted: SpreadOption = None,
    demand: DemandOption = None,
    platform: PlatformOption = "",
    platform_in: PlatformInOption = "",
    shows_me: ShowsMeOption = None,
    sender: SenderKnownOption = None,
    for_somebody_else: ForSomebodyElseOption = None,
    consent: ConsentOption = "",
    safe: SafeOption = None,
    watched: WatchedOption = None,
    breach: Annotated[
        bool, typer.Option("--breach", help="It got out of your own organisation's systems.")
    ] = False,
    aware_at: Annotated[
        datetime | None, time_option("When you became aware of the breach; now if left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Open a case, from a trace or simply from what you saw."""
    if name is not None and from_trace is not None:
        raise typer.BadParameter(
            translated("--from-trace opens a new case: leave out the name of a case")
        )
    if aware_at is not None and not breach:
        raise typer.BadParameter(translated("--aware-at goes with --breach"))
    refuse_two_stdin_options(platform=platform, consent=consent)
    situation = _situation_from_options(
        place, intimate, altered, taken_by_me, hide_my_name=hide_my_name
    )
    situation = replace(situation, posted=posted, demand=demand)
    situation = replace(situation, depicts_me=shows_me, recipient_known=sender)
    situation = replace(situation, platform_in=_place_or_none(platform_in))
    if name is None:  # before the vault is unlocked, so that help is always shown
        hint_without_device(session_of(context).settings.home)
        answers = SafetyAnswers(safe, watched, posted)
        try:
            situation, age = _ask_safety_questions(
                answers, situation, adults=adults, under_18=under_18
            )
        except SomebodyUnder18:  # nothing is stored, but the organisation's deadline runs
            with suppress(NoBreachLaw):
                if breach:
                    hint(
                        unstored_breach_deadline_text(
                            situation.places, aware_at or SystemClock().now()
                        )
                    )
            raise
    situation = replace(
        situation, platform=read_typed_line(platform, translated("The platform"), context)
    )
    representative = (  # nothing may stand in the way of storing the answer "under 18"
        None
        if name is not None and under_18
        else _representative_from_options(for_somebody_else, consent, context)
    )
    with opened_device(context) as device:
        since = (aware_at or device.clock.now()) if breach else None
        if name is None:
            trace = None if from_trace is None else find_trace(from_trace, device)
            with device.vault.transaction():
                case = open_case(trace, situation, age, device, representative)
                case = record_breach(case.name, since, device) if since else case
        else:
            case = _reopen_with_facts(
                name, situation, representative, since, device, under_18=under_18
            )
        print_case_or_json(case, device, as_json=as_json)
    if not as_json:
        if not case.situation.places:
            print_line(f"  {advice_to_name_place(case)}")
        print_line()
        for advice in () if is_threat_only(case) else map(translated, ADVICE_BEFORE_CAPTURE):
            print_line(f"  {advice}")


def about(
    context: typer.Context,
    name: str,
    place: PlacesOption = None,
    under_18: Under18Option = False,
    intimate: IntimateOption = None,
    altered: AlteredOption = None,
    taken_by_me: TakenByMeOption = None,
    hide_my_name: HideMyNameOption = False,
    posted: SpreadOption = None,
    demand: DemandOption = None,
    platform: PlatformOption = "",
    platform_in: PlatformInOption = "",
    shows_me: ShowsMeOption = None,
    sender: SenderKnownOption = None,
    for_somebody_else: ForSomebodyElseOption = None,
    consent: ConsentOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Add details to a case; the choice of legal routes depends on them."""
    refuse_two_stdin_options(platform=platform, consent=consent)
    more = replace(
        _situation_from_options(place, intimate, altered, taken_by_me, hide_my_name=hide_my_name),
        posted=posted,
        demand=demand,
        platform=read_typed_line(platform, translated("The platform"), context),
        platform_in=_place_or_none(platform_in),
        depicts_me=shows_me,
        recipient_known=sender,
    )
    representative = (
        None if under_18 else _representative_from_options(for_somebody_else, consent, context)
    )
    with opened_device(context) as device:
        if under_18:
            record_somebody_under_18(name, more, device)
        with device.vault.transaction():
            case = add_facts_to_case(name, more, device)
            case = record_representative(name, representative, device) if representative else case
        print_case_or_json(case, device, as_json=as_json)


def list_cases(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List your cases, the newest first."""
    with opened_device(context) as device:
        if as_json:
            shown = [case_json(case, device) for case in all_cases(device)]
            print_json({"schema": "entrenous/cases/1", "cases": shown})
            return
        known = case_summaries(device)
    row = translated("{name}  {state}, opened on {day}")
    for one in known:
        state, day = translated(one.state.value), day_in_words(one.opened_at)
        print_line(row.format(name=one.name, state=state, day=day))
    if not known:
        print_line(translated("No cases. Open one with: entrenous case open"))


def show(context: typer.Context, name: str, as_json: JsonFlag = False) -> None:
    """Show a case: findings, sightings, evidence, deadlines, and one next step."""
    with opened_device(context) as device:
        print_case_or_json(find_case(name, device), device, as_json=as_json)


def close(context: typer.Context, name: str) -> None:
    """Close a case; it can be opened again."""
    with opened_device(context) as device:
        closed = close_case(name, device)
    print_line(
        translated("{name} is closed. Open it again with: entrenous case open {typed}").format(
            name=closed.name, typed=quote_for_shell(closed.name)
        )
    )


def erase(
    context: typer.Context,
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a note to this file that something was erased."),
    ] = None,
) -> None:
    """Erase a case and everything kept in it from this device, for good."""
    written = FileGroup()
    with opened_device(context) as device, written.remove_on_failure(lambda: False):
        find_case(name, device)
        if not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter(
                    translated("there is no terminal to ask you at: say --yes")
                )
            question = translated("Erase {name} and all that is kept in it, for good?").format(
                name=name
            )
            ask_and_abort_unless_yes(question)
        if receipt is not None:
            _write_receipt(written, receipt, canonical_json(erasure_receipt(device)) + b"\n")
        erase_case(name, device)
    erased = translated("{name} is erased from this device.").format(name=name)
    print_line(f"{erased} {translated(ARCHIVE_KEEPS_CASE_NOTE)}")
    if receipt is not None:
        print_line(
            translated(
                "wrote {receipt}: a time and a random number, and nothing about the case"
            ).format(receipt=receipt)
        )


def breach(
    context: typer.Context,
    name: str,
    aware_at: Annotated[
        datetime | None, time_option("When you became aware of it, in UTC or with its offset.")
    ] = None,
    notified: Annotated[bool, typer.Option("--notified", help="You told the authority.")] = False,
    told: Annotated[bool, typer.Option("--told", help="You told the people concerned.")] = False,
    at: Annotated[datetime | None, time_option("When you told them; now if left out.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what your organisation must do after a breach of its own systems, and note what was
    done.
    """
    with opened_device(context) as device:
        with device.vault.transaction():
            if aware_at is not None:
                record_breach(name, aware_at, device)
            if notified or told:
                moment = at or device.clock.now()
                record_breach_notified(
                    name, moment, device, notified=notified, people_notified=told
                )
        case, now = find_case(name, device), device.clock.now()
        if case.breach is None:
            raise CaseHasNoBreach(name=name)
        if as_json:
            print_json({"schema": "entrenous/case/1", **case_json(case, device)})
            return
    for line in breach_duties_in_words(case, now):
        print_line(line)
    print_line(next_step_in_words(case, now))


def _write_receipt(written: FileGroup, path: Path, data: bytes) -> None:
    def write_receipt_bytes(file: BinaryIO) -> None:
        file.write(data)

    written.add(path, len(data), write_receipt_bytes)
    written.write()


def _ask_safety_questions(
    answers: SafetyAnswers, situation: Situation, *, adults: bool, under_18: bool
) -> tuple[Situation, AgeAnswer]:
    """Ask the safety questions that no option answered: whether the person is safe or watched,
    everybody's age, and how far the picture has spread.

    Raises SomebodyUnder18, typer.Exit.
    """
    ask = sys.stdin.isatty()
    answers, places = ask_about_safety(answers, situation.places, ask=ask)
    age = _ask_age_unless_given(adults=adults, under_18=under_18)
    check_age_answer(age, places, SystemClock().now().date())
    return replace(
        situation, places=places, posted=ask_spread(answers.posted, places, ask=ask)
    ), age


def _representative_from_options(
    role: RepresentativeRole | None, consent: str, context: typer.Context
) -> Representative | None:
    """Return who acts for the person shown, or None; raises NoConsent."""
    if role is None:
        if consent:
            raise typer.BadParameter(translated("--consent goes with --for-somebody-else ROLE"))
        return None
    typed = read_typed_line(consent, translated("Who agreed, how, and to what"), context)
    return representative_with_consent(role, typed, SystemClock().now())


def _reopen_with_facts(
    name: str,
    more: Situation,
    representative: Representative | None,
    aware_at: datetime | None,
    device: Device,
    *,
    under_18: bool,
) -> Case:
    """Reopen a case and record what was given with its name, all or nothing; or only record the
    answer "under 18".

    ``aware_at`` is when the organisation became aware of a breach, if there was one.
    """
    if under_18:
        record_somebody_under_18(name, more, device)
    with device.vault.transaction():
        case = reopen_case(name, device)
        case = case if more == Situation(()) else add_facts_to_case(name, more, device)
        case = record_representative(name, representative, device) if representative else case
        return record_breach(name, aware_at, device) if aware_at else case


def _situation_from_options(
    place: list[str] | None,
    intimate: bool | None,
    altered: bool | None,
    taken_by_me: bool | None,
    *,
    hide_my_name: bool,
) -> Situation:
    return Situation(
        places=tuple(parse_place(typed) for typed in place or ()),
        intimate=intimate,
        altered=altered,
        taken_by=_PICTURE_MAKER_BY_ANSWER[taken_by_me],
        name_must_stay_hidden=hide_my_name,
    )


def _place_or_none(typed: str) -> Place | None:
    return parse_place(typed) if typed else None


def _ask_age_unless_given(*, adults: bool, under_18: bool) -> AgeAnswer:
    if under_18:
        return AgeAnswer.CHILD
    if adults:
        return AgeAnswer.ADULTS
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            translated("was everybody in the picture 18 or older? Say --adults or --under-18")
        )
    return ask_age()
