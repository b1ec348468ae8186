"""Show a draft before it is sent: its missing parts, what it reveals, and its legal basis."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.abuse_contacts import explain_how_to_find_host
from entrenous.respond.law.legal_route import DocumentKind, WhetherCovered
from entrenous.respond.letters.sightings import addressee_of, left_out_sightings
from entrenous.respond.letters.wordings import words_in_language
from entrenous.respond.nouns import Case, Notice, NoticeState, SightingReach

NOT_SENT_NOTE: Final = translatable("You have not sent it yet.")
_NOBODY_NAMED_NOTE: Final = translatable(
    "It holds no picture and names nobody who passed it on; it is stronger and safer that way."
)
_SOMEBODY_NAMED_NOTE: Final = translatable(
    "It holds no picture, but {what}: read whether that says more than you want."
)
_LEFT_OUT_NOTE: Final = translatable(
    "Left out, so that nobody learns more than they need: {places}. To choose "
    "yourself, add --sighting NUMBER, once for each."
)
_DOCUMENT_NOTES: Final = {
    DocumentKind.FORM: translatable(
        "This is for the addressee's own form: paste it there, field by field."
    ),
    DocumentKind.POLICE_SHEET: translatable(
        "This is a page to bring to the police. You decide whether you go."
    ),
    DocumentKind.COURT_SHEET: translatable(
        "This is a page for the court's form or clerk. It files nothing."
    ),
    DocumentKind.HASH_BANK: translatable(
        "These are steps on the service's own page. Nothing is sent from here."
    ),
    DocumentKind.COMPLAINT: translatable(
        "This complaint tells what you asked before, and what came of it."
    ),
}
_ONLY_DEPICTED_NOTE: Final = translatable(
    "Under this law only the person shown can file it, so it speaks in that person's "
    "own name. Let them read it, change it and bring it."
)
_UNCLEAR_REPRESENTATIVE_NOTE: Final = translatable(
    "It is unclear whether this law lets somebody else file it. Ask a help line before you send it."
)
_UNKNOWN_SITE_NOTE: Final = translatable(
    "There is no record of {site} here, so its contact page or its web host gets this letter."
)
_LANGUAGE_NOTE: Final = translatable(
    "It is written in {name}. To have it in another language, draft it again with "
    "--language: en, de, fr, es or pt."
)


def format_notice_preview(notice: Notice, case: Case, today: date) -> str:
    """Format a draft, with notes on what to know before sending it."""
    before, after = notes_before_sending(notice, case, today), notes_after_draft(notice)
    return "\n".join((*before, "----", notice.letter, "----", *after, ""))


def notes_before_sending(notice: Notice, case: Case, today: date) -> tuple[str, ...]:
    """Return, in sentences, what to know before sending a draft."""
    route = notice.route
    know = (*route.cautions(today), *filter(None, [translated(route.caution)]))
    lines = (
        _sent_note(notice),
        _missing_parts_note(notice),
        _who_is_named_note(notice),
        *_route_notes(notice, case),
    )
    return (*lines, *_titled_line(translated("Know first"), know))


def notes_after_draft(notice: Notice) -> tuple[str, ...]:
    """Return what the person can leave out of the letter, its legal basis, and the next step if it
    fails.
    """
    route = notice.route
    return (
        *_titled_line(translated("Not needed"), tuple(map(translated, route.leave_out))),
        translated("Ground: {ground}.").format(ground=route.citation_with_source()),
        translated("What comes after: {escalation}.").format(
            escalation=translated(route.escalation).rstrip(".")
        ),
    )


def _route_notes(notice: Notice, case: Case) -> Iterator[str]:
    kind = _DOCUMENT_NOTES.get(notice.route.document)
    yield from filter(None, [kind and translated(kind), _left_out_note(notice, case)])
    if notice.language != "en":
        yield translated(_LANGUAGE_NOTE).format(name=words_in_language(notice.language).name)
    if case.representative is not None or case.situation.on_behalf:
        note_by_reach = {
            WhetherCovered.NO: _ONLY_DEPICTED_NOTE,
            WhetherCovered.UNCLEAR: _UNCLEAR_REPRESENTATIVE_NOTE,
        }
        note = note_by_reach.get(notice.route.representative)
        yield from filter(None, [note and translated(note)])
    yield from _platform_form_notes(notice, case)


def _platform_form_notes(notice: Notice, case: Case) -> Iterator[str]:
    """Yield what the platform's record says about its form or, for a site without a record, how to
    find the site's web host.
    """
    addressee = addressee_of(case, notice.route, notice.named_sightings, notice.language)
    record = addressee.platform
    if addressee.unknown is not None:
        yield translated(_UNKNOWN_SITE_NOTE).format(site=addressee.name)
        yield explain_how_to_find_host(addressee.unknown.where)
    if record is None:
        return
    if record.account_needed is True:
        yield translated("{name} asks for an account there before it takes a report.").format(
            name=record.name
        )
    if record.account_needed is False:
        yield translated("{name} takes a report without an account.").format(name=record.name)
    if record.in_app:
        yield translated("In the app: {in_app}.").format(in_app=translated(record.in_app))
    if record.time:
        yield translated("How long {name} takes: {time}.").format(
            name=record.name, time=translated(record.time)
        )


def _sent_note(notice: Notice) -> str:
    if notice.sent_at is None:
        ended = notice.state is NoticeState.WITHDRAWN
        return (
            translated("You withdrew this draft; it was not sent.")
            if ended
            else translated(NOT_SENT_NOTE)
        )
    return translated("You sent it on {when} UTC.").format(when=f"{notice.sent_at:%Y-%m-%d %H:%M}")


def _missing_parts_note(notice: Notice) -> str:
    if not notice.missing:
        return translated("Nothing is missing. Read it once more: it speaks in your name.")
    missing = translated("Still missing, for you to fill in: {gaps}")
    return missing.format(gaps=" ".join(notice.missing))


def _who_is_named_note(notice: Notice) -> str:
    what = []
    if any(sighting.reach is SightingReach.PRIVATE for sighting in notice.named_sightings):
        what.append(translated("your own words for a chat"))
    if any(sighting.handle for sighting in notice.named_sightings):
        what.append(translated("the name of an account"))
    if not what:
        return translated(_NOBODY_NAMED_NOTE)
    return translated(_SOMEBODY_NAMED_NOTE).format(what=f" {translated('and')} ".join(what))


def _left_out_note(notice: Notice, case: Case) -> str:
    places = "; ".join(
        translated("sighting {number}: {where}").format(
            number=sighting.number,
            where=translated("a chat")
            if sighting.reach is SightingReach.PRIVATE
            else sighting.where,
        )
        for sighting in left_out_sightings(notice.named_sightings, case, notice.route)
    )
    return translated(_LEFT_OUT_NOTE).format(places=places) if places else ""


def _titled_line(title: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    return (f"{title}: {'; '.join(text.rstrip('.') for text in texts)}.",) if texts else ()
