"""Open a case with or without a trace, describe the case, record who acts for the person shown, and
add sightings, statements and files.

Somebody acts for another person only with that person's consent, which is requested and recorded.
"""

from dataclasses import fields, replace
from datetime import datetime
from typing import Final, NoReturn

from entrenous.base.errors import Refused
from entrenous.base.identifiers import CaseName, generate_message_name
from entrenous.base.language import day_in_words, translatable, translated
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.respond.age_gate import check_age_answer, not_all_adults_error
from entrenous.respond.capture.saved_page import STATEMENT_DESCRIPTION
from entrenous.respond.case_file import (
    edit_case,
    find_case,
    find_open_case,
    refuse_file_of_minor,
    save_case,
)
from entrenous.respond.custody import CASES_TABLE, CustodyAct
from entrenous.respond.nouns import (
    EVIDENCE_SALT_BYTES,
    AgeAnswer,
    Case,
    CaseState,
    EvidenceItem,
    EvidenceLevel,
    ImpossibleTime,
    NoSuchCaseEntry,
    Representative,
    RepresentativeRole,
    Sighting,
)
from entrenous.respond.situation import Situation
from entrenous.watermark.verdict import NoSuchTrace, Trace


class TooLargeToKeep(Refused):
    """
    One item of a case can have at most {limit_mb} MB. This file, or the saved page with its files,
    is larger: at least {size_mb} MB were read. Nothing was stored. Save a shorter or smaller
    version, and add that.
    """


class TooManySavedFiles(Refused):
    """
    The folder of this saved page has more than {limit} files, the most that one item of a case can
    have. Nothing was stored. Save the page as one file, for example as a PDF, and add that.
    """


class NoConsent(Refused):
    """
    You can act for somebody else only if they have agreed to it. No consent was given here, so
    nothing was stored. Ask them first, and explain what you would do. Then try again, and write in
    your own words who agreed, how, and to what (at the command line: --consent -). If you cannot
    ask them now, you can still see who helps: entrenous help
    """


ADVICE_BEFORE_CAPTURE = (
    translatable("Keep the messages and files as they are. Do not delete anything first."),
    translatable("Do not edit or crop your screenshots."),
    translatable("You do not have to pay or to bargain with anybody."),
    translatable("Do not sign in to other people's accounts, even if you know the password."),
    translatable("Helpers do not need to see the picture. You do not have to send it to them."),
)
# used unless the person gives another purpose
DEFAULT_CAPTURE_PURPOSE: Final = "to keep what the page shows"
EVIDENCE_ITEM_BYTES_MAX: Final = 512 * 1024 * 1024  # an item is in memory while it is encrypted
_BYTES_PER_MB: Final = 1024 * 1024


def open_case(
    trace: Trace | None,
    situation: Situation,
    age: AgeAnswer,
    device: Device,
    representative: Representative | None = None,
) -> Case:
    """Create a case file and start its custody chain.

    Args:
        trace: the trace that led to this case, or None; a case can be opened without one.
        situation: the facts that decide which routes apply; questions may stay unanswered.
        age: the answer to "was everybody in the picture 18 or older when it was taken?"
        device: its vault stores the case.
        representative: who acts for the person shown, with that person's consent; or None.

    Raises:
        SomebodyUnder18: ``age`` is not ``ADULTS``; nothing was stored, and the message says who
            helps.
        NotAllAdults: another case with such an answer contains the file that was traced.
    """
    check_age_answer(age, situation.places, device.clock.now().date())
    with device.vault.transaction():
        if trace is not None:
            refuse_file_of_minor(trace.leak_sha256, device)
        case = Case(_new_case_name(device), device.clock.now(), situation, trace=trace)
        step = "opened from a trace" if trace else "opened without a trace"
        if representative is not None:
            case, step = (
                case_with_representative(case, representative),
                f"{step}, for somebody else",
            )
        return save_case(case, device, CustodyAct.OPENED, step)


def find_trace(number: int, device: Device) -> Trace:
    """Return a stored trace by its number; raises NoSuchTrace."""
    for trace in device.ledger.traces():
        if trace.number == number:
            return trace
    raise NoSuchTrace(number=number)


def _new_case_name(device: Device) -> CaseName:
    taken = {name.removeprefix("case-") for name in device.vault.keys(CASES_TABLE)}
    return CaseName(f"case-{generate_message_name(device.random_source.token(3), taken)}")


def add_facts_to_case(
    name: str, more: Situation, device: Device, *, name_may_be_known: bool = False
) -> Case:
    """Add facts to a case's situation; what ``more`` leaves unanswered stays as it was. With
    ``name_may_be_known``, the person's name need not stay hidden any more.

    Raises NoSuchCase, NotAllAdults, CaseClosed.
    """

    def add_facts(case: Case) -> Case:
        situation = _merged_situation(case.situation, more)
        if name_may_be_known:
            situation = replace(situation, name_must_stay_hidden=False)
        return replace(case, situation=situation)

    return edit_case(name, device, add_facts, "said more about it")


def record_somebody_under_18(name: str, more: Situation, device: Device) -> NoReturn:
    """Record that somebody was or may have been under 18, and close the case for good.

    Works for open and closed cases; other facts are recorded too (docs/spec/case.md section 1).

    Raises:
        NoSuchCase: there is no such case.
        NotAllAdults: always, if the case exists; raised after the answer is recorded. The message
            says who helps, and how to erase the case.
    """
    with device.vault.transaction():
        case = find_case(name, device)
        updated = replace(
            case,
            age=AgeAnswer.CHILD,
            state=CaseState.CLOSED,
            situation=_merged_situation(case.situation, more),
        )
        if updated != case:  # equal if this answer and these facts were recorded before
            save_case(updated, device, CustodyAct.CHANGED, "said that somebody was under 18")
    raise not_all_adults_error(updated, device.clock.now().date())


def _merged_situation(known: Situation, more: Situation) -> Situation:
    """Return the situation with the answers in ``more`` added; values left at their default count
    as unanswered.
    """
    answers = {
        field.name: getattr(more, field.name)
        for field in fields(Situation)
        if getattr(more, field.name) != field.default
    }
    places = tuple(dict.fromkeys((*known.places, *more.places)))
    return replace(known, **{**answers, "places": places})


def representative_with_consent(
    role: RepresentativeRole, consent: str, now: datetime
) -> Representative:
    """Return who acts for the person shown, with the consent as one line of text.

    Raises NoConsent if the consent is empty.
    """
    words = " ".join(consent.split())
    if not words:
        raise NoConsent
    return Representative(role, words, now)


def case_with_representative(case: Case, representative: Representative) -> Case:
    """Return the case with somebody who acts for the person shown."""
    situation = replace(case.situation, on_behalf=True)
    return replace(case, situation=situation, representative=representative)


def record_representative(name: str, representative: Representative, device: Device) -> Case:
    """Record who acts for the person shown, and that person's consent.

    Raises NoSuchCase, NotAllAdults, CaseClosed.
    """
    step = f"noted who acts with consent: {representative.role}"
    return edit_case(
        name, device, lambda case: case_with_representative(case, representative), step
    )


def representative_in_words(representative: Representative) -> str:
    """Format who acts for the person shown, and the consent."""
    as_whom, on = translated(representative.role.value), day_in_words(representative.noted_at)
    return translated("For somebody else, as {as_whom}. Consent, noted on {on}: {consent}").format(
        as_whom=as_whom, on=on, consent=representative.consent
    )


def add_sighting(name: str, sighting: Sighting, device: Device) -> Case:
    """Record where a copy was seen: a web address, or a chat in the person's own words.

    Args:
        name: the case.
        sighting: the sighting. Its place is neither opened nor fetched, and its number is assigned
            here.
        device: its vault stores the case.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed.
        ImpossibleTime: the sighting is in the future.
    """
    if sighting.first_seen_at > device.clock.now():
        raise ImpossibleTime(what="sighting", when="in the future")
    tidy = replace(
        sighting, where=_to_one_line(sighting.where), handle=_to_one_line(sighting.handle)
    )

    def append_sighting(case: Case) -> Case:
        numbered = replace(tidy, number=len(case.sightings) + 1)
        return replace(case, sightings=(*case.sightings, numbered))

    return edit_case(name, device, append_sighting, "noted where a copy was seen")


def add_statement(name: str, words: str, device: Device, *, sighting: int | None = None) -> Case:
    """Store a statement in the person's own words (evidence level A0), as :func:`add_file` does."""
    return store_evidence_item(
        name, words.encode(), (EvidenceLevel.A0, STATEMENT_DESCRIPTION, sighting), device
    )


def add_file(
    name: str, data: bytes, description: str, device: Device, *, sighting: int | None = None
) -> Case:
    """Store a screenshot or other file of the person's own (evidence level A1), encrypted.

    Args:
        name: the case.
        data: the file's bytes, stored unchanged.
        description: one line that describes it.
        device: its vault stores the file.
        sighting: the number of the sighting it belongs to.

    Raises NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry, TooLargeToKeep.
    """
    return store_evidence_item(
        name, data, (EvidenceLevel.A1, _to_one_line(description), sighting), device
    )


def store_evidence_item(
    name: str, data: bytes, about: tuple[EvidenceLevel, str, int | None], device: Device
) -> Case:
    """Store an item, as :func:`add_file` does. ``about`` has its evidence level, a line about it,
    and the number of its sighting or None.
    """
    if len(data) > EVIDENCE_ITEM_BYTES_MAX:
        raise TooLargeToKeep(
            size_mb=len(data) // _BYTES_PER_MB, limit_mb=EVIDENCE_ITEM_BYTES_MAX // _BYTES_PER_MB
        )
    with device.vault.transaction():
        case = find_open_case(name, device)
        refuse_file_of_minor(sha256(data), device)
        _refuse_unknown_sighting(case, about[2])
        item = _store_file_as_item(case, data, about, device)
        try:
            kept = replace(case, evidence=(*case.evidence, item))
            step = f"kept item {item.number}: {item.what}"
            return save_case(kept, device, CustodyAct.STORED, step, item)
        except BaseException:
            device.vault.delete_file(item.blob)  # a rollback does not remove the sealed file
            raise


def _store_file_as_item(
    case: Case, data: bytes, about: tuple[EvidenceLevel, str, int | None], device: Device
) -> EvidenceItem:
    level, what, sighting = about
    return EvidenceItem(
        number=len(case.evidence) + 1,
        level=level,
        what=what,
        added_at=device.clock.now(),
        sha256=sha256(data),
        size_bytes=len(data),
        salt=Secret(device.random_source.token(EVIDENCE_SALT_BYTES)),
        blob=device.vault.store_file(data),
        sighting=sighting,
    )


def _refuse_unknown_sighting(case: Case, number: int | None) -> None:
    if number is not None and number not in {seen.number for seen in case.sightings}:
        raise NoSuchCaseEntry(name=case.name, what="sighting", number=number)


def _to_one_line(text: str) -> str:
    return " ".join(text.split())
