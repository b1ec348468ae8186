"""How to report a picture at a platform: the steps in order, with what to paste from the case.

Nothing is sent from here, and a report never needs the picture itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from entrenous.base.errors import quote_for_shell
from entrenous.base.language import translatable, translated
from entrenous.respond.form_answers import FormAnswer, form_answer, what_to_have_ready
from entrenous.respond.nouns import AgeAnswer, Case, Sighting, SightingReach
from entrenous.respond.platforms import (
    ChatModeration,
    HashProgramme,
    PlatformKind,
    PlatformRecord,
    find_platform,
    host_of,
    platform_by_id,
    platform_named_in_text,
)
from entrenous.respond.situation import Situation, Spread


@dataclass(frozen=True, slots=True)
class ReportSteps:
    """What to do at one platform, in order.

    Attributes:
        platform: its record, with the source of each fact.
        first: the first step; if nothing has been shared yet, it is about the account that
            threatens.
        answers: the form's questions in order, or what to have ready if they are not recorded.
        answers_known: whether the form's questions are recorded.
        before: what to know before reporting: whether an account is needed, and who may report.
        after: what comes back, how long it takes, what to do about new uploads.
        in_chats: what the platform can do about a copy in a chat; empty if the platform has no
            chats.
        elsewhere: how to get the steps for the case's other sites; empty if there is none.
        cautions: cautions to show with these facts today.
        cited: the source, and the day on which it was read.
    """

    platform: PlatformRecord
    first: str
    answers: tuple[FormAnswer, ...]
    answers_known: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    in_chats: str
    elsewhere: str
    cautions: tuple[str, ...]
    cited: str

    @property
    def text(self) -> tuple[str, ...]:
        """The steps as lines of plain text; deeper lines are indented."""
        record = self.platform
        form = (
            translated("Form or page: {report_url}").format(report_url=record.report_url)
            if record.report_url
            else ""
        )
        lead = translated(
            WHAT_TO_SAY_HEADING
            if _is_generic(record)
            else FORM_QUESTIONS_HEADING
            if self.answers_known
            else WHAT_TO_HAVE_READY_HEADING
        )
        return (
            translated("{name}: how to report it").format(name=record.display_name),
            f"  {translated('First: {step}').format(step=self.first)}",
            *_indent(
                form,
                translated("In the app: {in_app}").format(in_app=translated(record.in_app))
                if record.in_app
                else "",
            ),
            *((f"  {lead}",) if self.answers else ()),
            *(
                line
                for number, one in enumerate(self.answers, 1)
                for line in _answer_lines(number, one)
            ),
            *_indent(
                *self.before,
                self.in_chats,
                *self.after,
                translated(NO_PICTURE_NEEDED_NOTE),
                translated(MINOR_NOTE),
            ),
            *_indent(self.elsewhere, *other_report_channels(record)),
            f"  {'; '.join((self.cited, *self.cautions))}",
        )


def report_steps(
    record: PlatformRecord, about: Case | Situation, today: date, host: str = ""
) -> ReportSteps:
    """Return the steps for one platform, filled in from the case's sightings there.

    Args:
        record: the platform.
        about: a case, or only a situation; with a situation, places, accounts and days are gaps.
        today: facts read long before this day carry a caution.
        host: for a generic record, the site; if "", the site of the sighting that was added last.
    """
    situation = about if isinstance(about, Situation) else about.situation
    found = () if isinstance(about, Situation) else sightings_on_platform(record, about)
    sightings = _sightings_on_one_site(found, host) if _is_generic(record) else found
    asked = tuple(zip(map(translated, record.asks_for), record.paste, strict=True))
    asked_or_ready = asked or (what_to_have_ready(sightings) if _takes_reports(record) else ())
    return ReportSteps(
        platform=record,
        first=translated(
            _FIRST_STEP_UNDER_THREAT if situation.posted is Spread.THREAT else record.first_step
        ),
        answers=tuple(
            form_answer(asks, paste, situation, sightings) for asks, paste in asked_or_ready
        ),
        answers_known=bool(asked),
        before=_before_reporting(record, on_behalf=situation.on_behalf),
        after=_after_reporting(record),
        in_chats=translated(_PRIVATE_MESSAGES_TEXTS[record.private_messages])
        if record.private_messages is not None
        else "",
        elsewhere=""
        if isinstance(about, Situation) or sightings == found
        else translated(_OTHER_SITES_HINT).format(case=quote_for_shell(about.name)),
        cautions=record.cautions(today),
        cited=translated("Source: {source}, read on {read_on}").format(
            source=record.source, read_on=record.read_on
        )
        + (f"; {translated('verified')}" if record.verified else ""),
    )


def _sightings_on_one_site(sightings: tuple[Sighting, ...], host: str) -> tuple[Sighting, ...]:
    """Return the sightings at a host, so that a site learns nothing about another one."""
    site = _site_of(host or sightings[-1].where) if sightings else ""
    return tuple(one for one in sightings if _site_of(one.where) == site)


def _site_of(address: str) -> str:
    return host_of(address).removeprefix("www.")


def _is_generic(record: PlatformRecord) -> bool:
    return record.kind is PlatformKind.GENERIC


def sightings_on_platform(record: PlatformRecord, case: Case) -> tuple[Sighting, ...]:
    """Return the case's sightings at this platform.

    For a generic record these are all pages on sites without a record; for a search engine, all
    pages.
    """
    if record.kind is PlatformKind.SEARCH:
        return tuple(seen for seen in case.sightings if seen.reach is SightingReach.PUBLIC)
    if _is_generic(record):
        pages = (seen for seen in case.sightings if seen.reach is SightingReach.PUBLIC)
        return tuple(seen for seen in pages if platform_of_sighting(seen, case.situation) is None)
    return tuple(
        seen for seen in case.sightings if platform_of_sighting(seen, case.situation) == record
    )


def report_destinations(case: Case) -> tuple[PlatformRecord, ...]:
    """Return the platforms of a case in the order of its sightings, without duplicates.

    Pages on sites without a record of their own are represented by the general record
    "generic_site". Chats on platforms without a record are left out. A case about somebody under 18
    has no destinations: the person is referred to people who help instead.
    """
    if case.age is not AgeAnswer.ADULTS:
        return ()
    found = (_report_destination(seen, case.situation) for seen in case.sightings)
    return tuple({record.id: record for record in found if record is not None}.values())


def sightings_on_unknown_sites(case: Case) -> tuple[Sighting, ...]:
    """Return the sightings on sites without a record; their web hosts can be looked up."""
    return tuple(
        seen
        for seen in case.sightings
        if seen.reach is SightingReach.PUBLIC
        and "." in host_of(seen.where)
        and platform_of_sighting(seen, case.situation) is None
    )


def report_destination_text(record: PlatformRecord, case: Case) -> str:
    """Say which of the case's sightings to report at a platform, and which command shows all
    steps.
    """
    numbers = [str(seen.number) for seen in sightings_on_platform(record, case)]
    which = (
        translated("sightings {numbers}") if len(numbers) > 1 else translated("sighting {numbers}")
    ).format(numbers=", ".join(numbers))
    name = translated(UNKNOWN_SITE_NAME) if _is_generic(record) else record.name
    command = f"entrenous case platform {record.id} --case {quote_for_shell(case.name)}"
    return translated("Where it goes ({which}): {name}. The steps: {command}").format(
        which=which, name=name, command=command
    )


def _report_destination(sighting: Sighting, situation: Situation) -> PlatformRecord | None:
    known = platform_of_sighting(sighting, situation)
    elsewhere = known is None and sighting.reach is SightingReach.PUBLIC
    return platform_by_id(GENERIC_SITE_RECORD_ID) if elsewhere else known


def platform_of_sighting(sighting: Sighting, situation: Situation) -> PlatformRecord | None:
    """Return the platform of a sighting: for a page, by its host; for a chat, by the name in its
    description, or else the platform of the situation.
    """
    if sighting.reach is SightingReach.PUBLIC:
        return find_platform(sighting.where)
    named = platform_named_in_text(sighting.where)
    return named or (find_platform(situation.platform) if situation.platform else None)


GENERIC_SITE_RECORD_ID: Final = "generic_site"
NO_RECORD_NOTE: Final = translatable(
    "There is no record of this site here. These steps apply to any site:"
)
UNKNOWN_SITE_NAME: Final = translatable("a site without a record here")
FORM_QUESTIONS_HEADING: Final = translatable("It asks, in this order:")
WHAT_TO_SAY_HEADING: Final = translatable("Say this, in this order:")
WHAT_TO_HAVE_READY_HEADING: Final = translatable(
    "The questions of this form are not known here. Have this ready:"
)
NO_PICTURE_NEEDED_NOTE: Final = translatable(
    "The picture itself is not needed: links, accounts and dates are enough."
)
MINOR_NOTE: Final = translatable(
    "If anybody in it was under 18, do not copy or forward it. People who help: "
    "entrenous help --under-18"
)
_FIRST_STEP_UNDER_THREAT: Final = translatable(
    "Save the demand, then report the account that threatens, and its messages; a picture is not"
    " needed. Block it after that."
)
_OTHER_SITES_HINT: Final = translatable(
    "The case's other sites are left out here. The steps for one of them: "
    "entrenous case platform ADDRESS --case {case}"
)
_HOST_LOOK_UP_HINT: Final = translatable(
    "Who runs or hosts such a site: entrenous case platform ADDRESS --look-up"
)
_ACCOUNT_NEEDED_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("You need an account there, or somebody who has one."),
    False: translatable("You need no account there."),
    None: translatable("You may need an account there."),
}
_OTHERS_MAY_REPORT_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("Somebody else may report it for you."),
    False: translatable("Somebody else cannot report it for you."),
    None: translatable("Ask them whether somebody else may report it for you."),
}
_REPORT_ON_BEHALF_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("You may report it for the person shown."),
    False: translatable("Only the person who has it there can report it, not somebody else."),
    None: translatable("Ask them whether you may report it for the person shown."),
}
_PRIVATE_MESSAGES_TEXTS: Final[Mapping[str, str]] = {
    "reachable": translatable(
        "In a chat there: its staff can act on a report with the link of the message."
    ),
    "report in the app": translatable(
        "In a chat there: only somebody who has the message can report it, in that platform's app."
    ),
    "not moderated": translatable(
        "In a chat there: nobody looks at messages, so nobody there can remove one."
    ),
}
_HASH_BANK_NAMES: Final[Mapping[HashProgramme, str]] = {
    HashProgramme.STOPNCII: translatable("StopNCII (everybody in it was 18 or older)"),
    HashProgramme.TAKE_IT_DOWN: translatable("Take It Down (somebody in it was under 18)"),
}
_NO_RECEIPT_NOTE: Final = translatable(
    "Keep a screenshot of the last page, and every e-mail from them."
)


def _before_reporting(record: PlatformRecord, *, on_behalf: bool) -> tuple[str, ...]:
    if not _takes_reports(record):
        return ()
    others = _REPORT_ON_BEHALF_TEXTS if on_behalf else _OTHERS_MAY_REPORT_TEXTS
    return (
        translated(_ACCOUNT_NEEDED_TEXTS[record.account_needed]),
        translated(others[record.on_behalf]),
    )


def _takes_reports(record: PlatformRecord) -> bool:
    """Return whether the platform takes reports. A messenger that cannot see messages has no
    form.
    """
    no_reports = record.private_messages is ChatModeration.NOT_MODERATED
    return bool(record.report_url or record.asks_for or not no_reports)


def _after_reporting(record: PlatformRecord) -> tuple[str, ...]:
    """Say what comes back, how long it takes, and what stops new uploads."""
    if not _takes_reports(record):
        return ()
    banks = f" {translated('and')} ".join(
        translated(_HASH_BANK_NAMES[one]) for one in record.hash_programme
    )
    return (
        translated("What comes back: {receipt}.").format(receipt=translated(record.receipt))
        if record.receipt
        else translated(_NO_RECEIPT_NOTE),
        translated("Time: {time}.").format(time=translated(record.time))
        if record.time
        else translated("It is not known how long they take."),
        *(
            (
                translated("It stops new uploads of pictures registered at: {banks}.").format(
                    banks=banks
                ),
            )
            if banks
            else ()
        ),
    )


def other_report_channels(record: PlatformRecord) -> tuple[str, ...]:
    """Name the other channels of a platform, and those that it must have by law."""
    us_page = record.tida_process_url if record.tida_process_url != record.report_url else ""
    return (
        translated("Other ways: {other_channel}").format(
            other_channel=translated(record.other_channel)
        )
        if record.other_channel
        else "",
        translated(_HOST_LOOK_UP_HINT) if _is_generic(record) else "",
        translated("In the United States, under the TAKE IT DOWN Act: {us_page}").format(
            us_page=us_page
        )
        if us_page
        else "",
        translated("In the European Union, its contact point: {dsa_contact}").format(
            dsa_contact=record.dsa_contact
        )
        if record.dsa_contact
        else "",
    )


def _answer_lines(number: int, answer: FormAnswer) -> tuple[str, ...]:
    if answer.gap:
        return (f"    {number}. {answer.paste}",)
    return (f"    {number}. {answer.asks}:", *(f"       {one}" for one in answer.paste.split("\n")))


def _indent(*lines: str) -> tuple[str, ...]:
    return tuple(f"  {line}" for line in lines if line)
