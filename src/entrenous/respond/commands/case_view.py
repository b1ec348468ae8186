"""Show a case: one JSON object for scripts, or lines of text for people."""

from datetime import datetime

from entrenous.base.errors import quote_for_shell
from entrenous.base.language import day_in_words, moment_in_words, translated
from entrenous.device.device import Device
from entrenous.respond.capture.saved_page import translated_file_description
from entrenous.respond.case_file import describe_named_copies, trace_and_named_recipients
from entrenous.respond.evidence import evidence_level_in_words, pending_stamp_text
from entrenous.respond.law.deadlines import Deadline, deadline_in_words, deadlines_of_case
from entrenous.respond.next_step import next_step
from entrenous.respond.nouns import Breach, Case, Notice, Sighting
from entrenous.respond.open_case import representative_in_words
from entrenous.respond.platforms import PlatformRecord
from entrenous.respond.reappearance import reappearance_text
from entrenous.respond.report_steps import (
    ReportSteps,
    platform_of_sighting,
    report_destination_text,
    report_destinations,
    report_steps,
)
from entrenous.respond.situation import situation_in_words
from entrenous.terminal.output import print_json, print_line, rfc3339_utc


def case_json(case: Case, device: Device) -> dict[str, object]:
    """Return a case as JSON, without its secrets: no hash of an item, no key, no content."""
    now = device.clock.now()
    trace, named = trace_and_named_recipients(case, device)
    return {
        "case": case.name,
        "state": case.state.value,
        "age": case.age.value,
        "opened_at": rfc3339_utc(case.opened_at),
        "for_somebody_else": None if case.representative is None else case.representative.role,
        "trace": None if trace is None else trace.number,
        "named": list(named),
        "sightings": [
            {
                "number": seen.number,
                "where": seen.where,
                "account": seen.handle or None,
                "platform": _platform_id(seen, case),
                "first_seen_at": rfc3339_utc(seen.first_seen_at),
            }
            for seen in case.sightings
        ],
        "returned": [
            {"sighting": back.sighting, "at": rfc3339_utc(back.at)} for back in case.returned
        ],
        "evidence": [
            {"number": item.number, "what": item.what, "level": item.level.value}
            for item in case.evidence
        ],
        "stamps": [
            {"at": rfc3339_utc(stamp.at), "authority": stamp.authority_url} for stamp in case.stamps
        ],
        "stamp_wanted_at": None
        if case.stamp_wanted_at is None
        else rfc3339_utc(case.stamp_wanted_at),
        "notices": [
            {"number": one.number, "route": one.route.id, "state": one.state.value}
            for one in case.notices
        ],
        "breach": _breach_json(case.breach),
        "deadlines": [_deadline_json(deadline) for deadline in deadlines_of_case(case, now)],
        "next": next_step(case, now),
    }


def _platform_id(sighting: Sighting, case: Case) -> str | None:
    record = platform_of_sighting(sighting, case.situation)
    return None if record is None else record.id


def print_case_or_json(
    case: Case, device: Device, *, as_json: bool, steps_for: tuple[PlatformRecord, ...] = ()
) -> None:
    if as_json:
        print_json({"schema": "entrenous/case/1", **case_json(case, device)})
    else:
        print_case(case, device, steps_for)


def print_case(case: Case, device: Device, steps_for: tuple[PlatformRecord, ...] = ()) -> None:
    """Print what the case says: answers, sightings, evidence, notices, deadlines and the next step.

    The steps of the platforms in ``steps_for`` are printed in full, before the next step.
    """
    now = device.clock.now()
    opened = translated("{name}, opened on {day}, {state}")
    state, day = translated(case.state.value), day_in_words(case.opened_at)
    print_line(opened.format(name=case.name, day=day, state=state))
    if case.representative is not None:
        print_line(f"  {representative_in_words(case.representative)}")
    if answers := situation_in_words(case.situation):
        print_line(f"  {answers}")
    _, named = trace_and_named_recipients(case, device)
    if named_copies := describe_named_copies(named):
        print_line(f"  {named_copies}")
    _print_sightings(case)
    for item in case.evidence:
        kept = translated("Kept, item {number}: {what} ({level})")
        what, level = translated_file_description(item.what), evidence_level_in_words(item, case)
        print_line(f"  {kept.format(number=item.number, what=what, level=level)}")
    if pending_stamp := pending_stamp_text(case):
        print_line(f"  {pending_stamp}")
    for one in case.notices:
        print_line(f"  {_notice_in_words(one)}")
    for deadline in deadlines_of_case(case, now):
        if not deadline.sets_no_time_limit:
            print_line(f"  {_deadline_in_words(deadline)}")
    for record in steps_for:
        _print_steps(report_steps(record, case, now.date()))
    print_line(next_step_in_words(case, now))


def next_step_in_words(case: Case, now: datetime) -> str:
    """Return the last line about a case: its one next step."""
    return translated("next: {step}").format(step=next_step(case, now))


def _notice_in_words(notice: Notice) -> str:
    text = translated("Notice {number} to {to}: {law}, {state}")
    if not notice.to:
        text = translated("Notice {number}: {law}, {state}")
    law, state = translated(notice.route.law), translated(notice.state.value)
    return text.format(number=notice.number, to=translated(notice.to), law=law, state=state)


def _deadline_in_words(deadline: Deadline) -> str:
    text = translated("Clock of notice {number}: {deadline}")
    if not deadline.notice:
        text = translated("Clock: {deadline}")
    return text.format(number=deadline.notice, deadline=deadline_in_words(deadline))


def _print_sightings(case: Case) -> None:
    line = translated("Seen, sighting {number}: {where}, {at}")
    account = translated(", account: {account}")
    for seen in case.sightings:
        at = moment_in_words(seen.first_seen_at)
        shown = line.format(number=seen.number, where=seen.where, at=at)
        print_line(f"  {shown}{account.format(account=seen.handle) if seen.handle else ''}")
    for back in case.returned:
        print_line(f"  {reappearance_text(back)}")
    for record in report_destinations(case):
        print_line(f"  {report_destination_text(record, case)}")


def _print_steps(steps: ReportSteps) -> None:
    print_line()
    for line in steps.text:
        print_line(line)
    print_line()


def _breach_json(breach: Breach | None) -> dict[str, object] | None:
    if breach is None:
        return None
    done = {"notified_at": breach.notified_at, "told_at": breach.people_notified_at}
    return {
        "route": breach.route.id,
        "aware_at": rfc3339_utc(breach.aware_at),
        **{name: None if at is None else rfc3339_utc(at) for name, at in done.items()},
    }


def _deadline_json(deadline: Deadline) -> dict[str, object]:
    return {
        "notice": deadline.notice,
        "law": deadline.law,
        "provision": deadline.provision,
        "rule": deadline.rule,
        "state": deadline.state.value,
        "due_at": None if deadline.due_at is None else rfc3339_utc(deadline.due_at),
        "in_words": deadline_in_words(deadline),
        "source": deadline.source,
        "read_on": deadline.read_on.isoformat(),
    }


def advice_to_name_place(case: Case) -> str:
    """Suggest naming a place, because the laws and the helpers depend on it, and a case can be
    opened without one.
    """
    command = f"entrenous case about {quote_for_shell(case.name)} --place GB"
    return translated("For the laws and helpers of your place: {command}").format(command=command)
