"""Send something: what, to whom, for how long; the guard; ten seconds to undo."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import all_typed, chosen_files, read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.web import (
    error_words,
    go_to,
    in_vault,
    kept_form,
    language_of,
    result_of,
    show,
    start_job,
    state_of,
)
from entrenous.base.environment import SystemClock
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.identifiers import MessageName
from entrenous.base.identity import Contact
from entrenous.base.limits import DAYS_TO_OPEN, UNDO_S
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.sent_messages import Recall
from entrenous.send.clock_sanity import rounded_expiry
from entrenous.send.conversations import conversation_of, names_in
from entrenous.send.drafts import KeptDraft, discard_draft, find_draft, keep_draft
from entrenous.send.guard import unanswered_doubts
from entrenous.send.inbox import message_named
from entrenous.send.message.draft import (
    Doubt,
    Draft,
    HeldHere,
    NotYetToBeSent,
    Policy,
    StoppedWhileSending,
)
from entrenous.send.message.transfer_progress import Stage, TransferWatch
from entrenous.send.people.circle_members import recipients
from entrenous.send.people.circles import circles
from entrenous.send.people.notices import TRUST_WORDS
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.send import cancel_sending, send_message

_LEAVES_AFTER_S = UNDO_S + 1


class NothingWritten(Refused):
    """There is nothing to send yet. Choose a picture, a clip or a recording, or write something."""


class NobodyChosen(Refused):
    """Nobody is chosen, so nothing was sent. Say who gets it."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a person sees before she sends: who gets it, and what the guard finds odd."""

    draft: KeptDraft
    people: tuple[Contact, ...]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message that was sealed; until ``leaves_at`` nothing of it leaves."""

    name: MessageName
    to: tuple[str, ...]
    leaves_at: datetime
    waits: str = ""


def routes() -> list[Route]:
    return [
        Route("/10", write, name="send", methods=["GET"]),
        Route("/10", keep, methods=["POST"]),
        Route("/11/{draft}", review, name="review", methods=["GET"]),
        Route("/11/{draft}", seal, methods=["POST"]),
        Route("/12/{draft}", discard, name="discard", methods=["POST"]),
        Route("/13/{handle}", sealed, name="sealed", methods=["GET"]),
        Route("/13/{handle}", undo, methods=["POST"]),
    ]


async def write(request: Request, words: str = "", status: int = 200) -> Response:
    def read(device: Device) -> tuple[list[str], list[str]]:
        people = [one.name for one in contacts(device) if not one.blocked]
        return people, [one.name for one in circles(device.vault)]

    people, groups = await in_vault(request, read)
    form = getattr(request.state, "form", None) or kept_form(request)
    return show(
        request,
        "send.html",
        status=status,
        words=words,
        form=form,
        chosen=set(all_typed(form, "to")) | set(request.query_params.getlist("to")),
        people=people,
        circles=groups,
        days=DAYS_TO_OPEN,
    )


async def keep(request: Request) -> Response:
    """Keep what was written in the vault, and show it once more before it goes."""
    form = await read_form(request)
    files = tuple([one.data for one in await chosen_files(form, "file")])

    def store(device: Device) -> KeptDraft:
        written = _written(form, device.clock.now(), has_files=bool(files))
        return keep_draft(written, files, device)

    try:
        draft = await in_vault(request, store)
    except EntrenousError as why:
        return await write(request, error_words(why), 409)
    return go_to(request, "review", draft=_handle(request, draft))


def _written(form: FormData, at: datetime, *, has_files: bool) -> KeptDraft:
    text, to = typed(form, "text"), tuple(all_typed(form, "to"))
    if not has_files and not text:
        raise NothingWritten
    if not to:
        raise NobodyChosen
    once = bool(typed(form, "once"))
    return KeptDraft(
        id=b"",
        written_at=at,
        text=text,
        to=to,
        days=max(1, min(30, int(typed(form, "days") or DAYS_TO_OPEN))),
        once=once,
        may_export=once and bool(typed(form, "may_export")),
        reply=typed(form, "reply"),
    )


async def review(request: Request, words: str = "", status: int = 200) -> Response:
    """Show who gets it and what the guard asks; a file that cannot be sent is said here."""

    def read(device: Device) -> Review:
        kept = _draft(request, device)
        draft = _draft_of(kept, frozenset(), device)
        known = {one.name: one for one in contacts(device)}
        people = tuple(known[name] for name in draft.to)
        return Review(kept, people, tuple(unanswered_doubts(draft, device)))

    found = await in_vault(request, read)
    return show(
        request,
        "review.html",
        status=status,
        words=words,
        found=found,
        trust=TRUST_WORDS,
        handle=request.path_params["draft"],
    )


async def seal(request: Request) -> Response:
    """Mark and seal the copies; they leave when the time to undo is over."""
    confirmed = frozenset(all_typed(await read_form(request), "confirm"))
    say = language_of(request).sentences.gettext

    def check(device: Device) -> None:
        draft = _draft_of(_draft(request, device), confirmed, device)
        if unanswered_doubts(draft, device):
            raise NameNotTyped

    try:
        await in_vault(request, check)
    except EntrenousError as why:
        return await review(request, error_words(why), 409)
    mail = state_of(request).mail

    def work(device: Device, report: Report) -> Sealed:
        kept = _draft(request, device)
        made = _seal(kept, confirmed, device, report)
        discard_draft(kept.id, device)
        mail.look_after(_LEAVES_AFTER_S)
        return made

    return start_job(request, say("Marking and sealing a copy for each person"), work, "sealed")


class NameNotTyped(Refused):
    """Please look again before this goes out. If that is who you mean, type the name that is asked
    for. Nothing was sent.
    """


def _seal(kept: KeptDraft, confirmed: frozenset[str], device: Device, report: Report) -> Sealed:
    draft = replace(_draft_of(kept, confirmed, device), undo_s=UNDO_S)

    def step(stage: Stage, done: int, total: int) -> None:
        report(stage.value, done, total)

    try:
        sent = send_message(draft, device, TransferWatch(step))
    except HeldHere as why:
        held, name = why.facts["why"], why.facts["name"]
        waits = "" if isinstance(held, NotYetToBeSent) else error_words(why)
        leaves_at = device.clock.now() + timedelta(seconds=UNDO_S)
        return Sealed(MessageName(str(name)), draft.to, leaves_at, waits)
    return Sealed(sent.name, draft.to, device.clock.now())


async def discard(request: Request) -> Response:
    await in_vault(request, lambda device: discard_draft(_draft(request, device).id, device))
    return go_to(request, "home")


async def sealed(request: Request) -> Response:
    found = result_of(request, Sealed)
    now = SystemClock().now()
    left_s = max(0, round((found.leaves_at - now).total_seconds()))
    handle = request.path_params["handle"]
    return show(request, "sealed.html", found=found, left_s=left_s, handle=handle)


async def undo(request: Request) -> Response:
    """Undo it before it has left: then it is as if it was never sent."""
    found = result_of(request, Sealed)

    def cancel(device: Device) -> tuple[Recall, ...]:
        try:
            cancel_sending(device.ledger.find(found.name).id, device)
        except StoppedWhileSending:  # something of it has left
            return recall_message(found.name, device)
        return ()

    recalls = await in_vault(request, cancel)
    outcomes = [recall_in_words(one.to, one) for one in recalls]
    return show(request, "undone.html", outcomes=outcomes)


def _handle(request: Request, draft: KeptDraft) -> str:
    return state_of(request).login.handle("draft", draft.id.hex())


def _draft(request: Request, device: Device) -> KeptDraft:
    named = state_of(request).login.named("draft", request.path_params["draft"]) or ""
    return find_draft(bytes.fromhex(named), device)


def _draft_of(kept: KeptDraft, confirmed: frozenset[str], device: Device) -> Draft:
    within = conversation_of(kept.reply, device) if kept.reply else None
    going = recipients(list(kept.to) or names_in(within, device), device)
    files = tuple(device.vault.kept(blob) for blob in kept.files)
    return Draft(
        files=files,
        to=going.people,
        policy=Policy(
            rounded_expiry(kept.days, device),
            1 if kept.once else None,
            may_export=kept.may_export,
        ),
        caption=(kept.text or None) if files else None,
        confirmed=confirmed,
        circles=going.circles,
        within=within,
        text=None if files else (kept.text or None),
        reply=message_named(kept.reply, device) if kept.reply else None,
    )
