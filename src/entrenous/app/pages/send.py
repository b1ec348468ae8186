"""Send a draft: the questions of the guard (the check for a wrong recipient), a few seconds to
undo, and whether it has been sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_texts
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.review import (
    draft_at_address,
    forget_copy_previews,
    sendable_draft_of,
    show_review,
)
from entrenous.app.web import (
    ConfirmationQuestion,
    error_words,
    has_confirmed,
    job_result,
    language_of,
    redirect_to,
    run_in_vault,
    show,
    show_confirmation_page,
    start_job,
    state_of,
)
from entrenous.base.environment import SystemClock
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.identifiers import MessageName
from entrenous.device.device import Device
from entrenous.device.sent_messages import RecallResult, SendState
from entrenous.send.guard import inspect_draft
from entrenous.send.message.draft import (
    Draft,
    MessageNotSentYet,
    StoppedWhileSending,
    UndoWindowStillOpen,
    discard_draft,
)
from entrenous.send.message.transfer_progress import TransferStage, TransferWatch
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.send import cancel_sending, send_message
from entrenous.send.status import send_states_of

_FETCH_DELAY_AFTER_UNDO_S: Final = 1  # counted from the end of the time to undo


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """An encrypted message. Unless it was sent at once, no part of it is sent before ``leaves_at``.

    ``waiting_reason`` is "" if the message waits only for the end of the time to undo. ``draft`` is
    the handle of the draft that it was.
    """

    draft: str
    name: MessageName
    to: tuple[str, ...]
    leaves_at: datetime
    waiting_reason: str = ""


def routes() -> list[Route]:
    return [
        Route("/11/{draft}", start_sending, methods=["POST"]),
        Route("/12/{draft}", discard_shown_draft, name="discard", methods=["POST"]),
        Route("/13/{handle}", show_sending_progress, name="sealed", methods=["GET"]),
        Route("/13/{handle}", undo_sending, methods=["POST"]),
    ]


async def start_sending(request: Request) -> Response:
    """Mark and encrypt the copies; they are sent when the time to undo is over."""
    confirmed = frozenset(typed_texts(await read_form(request), "confirm"))
    say = language_of(request).sentences.gettext

    def refuse_unconfirmed(device: Device) -> None:
        draft = sendable_draft_of(draft_at_address(request, device), confirmed, device)
        if inspect_draft(draft, device).unanswered:
            raise NameNotTyped

    try:
        await run_in_vault(request, refuse_unconfirmed)
    except EntrenousError as why:
        return await show_review(request, error_words(why), 409)
    mail, undo_s = state_of(request).mail, state_of(request).settings.undo_s

    def seal_and_discard_draft(device: Device, report: ReportProgress) -> OutgoingMessage:
        kept = draft_at_address(request, device)
        draft = replace(sendable_draft_of(kept, confirmed, device), undo_s=undo_s)
        made = _send_or_queue_draft(draft, request.path_params["draft"], device, report, say)
        discard_draft(kept.id, device)
        mail.send_and_fetch_after(undo_s + _FETCH_DELAY_AFTER_UNDO_S)
        return made

    return start_job(
        request, say("Marking and sealing a copy for each person"), seal_and_discard_draft, "sealed"
    )


class NameNotTyped(Refused):
    """
    Please check the recipient before this is sent. If it is the right person, type the name that
    you are asked for. Nothing was sent.
    """


def _send_or_queue_draft(
    draft: Draft, handle: str, device: Device, report: ReportProgress, say: Callable[[str], str]
) -> OutgoingMessage:
    def report_stage(stage: TransferStage, done: int, total: int) -> None:
        report(say(stage.value), done, total)

    try:
        sent = send_message(draft, device, TransferWatch(report_stage))
    except MessageNotSentYet as why:
        held, name = why.facts["why"], why.facts["name"]
        waits = "" if isinstance(held, UndoWindowStillOpen) else error_words(why)
        leaves_at = device.clock.now() + timedelta(seconds=draft.undo_s)
        return OutgoingMessage(handle, MessageName(str(name)), draft.to, leaves_at, waits)
    return OutgoingMessage(handle, sent.name, draft.to, device.clock.now())


async def discard_shown_draft(request: Request) -> Response:
    """Delete a draft, once the person is sure."""
    form, say = await read_form(request), language_of(request).sentences.gettext
    if not has_confirmed(form):
        said = (
            say("It was not sent to anybody. Its words and files are deleted from this app."),
            say("Your own pictures stay where they are; a voice that you recorded here is gone."),
        )
        heading = say("Delete this message?")
        return show_confirmation_page(
            request, form, ConfirmationQuestion(heading, said, say("Delete it"), say("Keep it"))
        )
    await run_in_vault(
        request, lambda device: discard_draft(draft_at_address(request, device).id, device)
    )
    forget_copy_previews(request, request.path_params["draft"])
    return redirect_to(request, "home")


async def show_sending_progress(request: Request) -> Response:
    """Show how long sending can be undone, and then whether it has been sent, or why not."""
    found, state = job_result(request, OutgoingMessage), state_of(request)
    departures = await run_in_vault(request, lambda device: send_states_of(found.name, device))
    left_s = max(0, round((found.leaves_at - SystemClock().now()).total_seconds()))
    problems = [state.mail.problem] if state.mail.problem else state.mail.other_relay_problems
    return show(
        request,
        "sealed.html",
        found=found,
        left_s=left_s,
        gone=all(one is SendState.ACKNOWLEDGED for one in departures),
        refused=SendState.REFUSED in departures,
        problems=[error_words(why) for why in problems],
    )


async def undo_sending(request: Request) -> Response:
    """Undo sending. If no part was sent, it is as if the message had never been written; otherwise
    the message is recalled.
    """
    found = job_result(request, OutgoingMessage)

    def cancel_or_recall(device: Device) -> tuple[RecallResult, ...]:
        try:
            cancel_sending(device.ledger.message_named(found.name).id, device)
        except StoppedWhileSending:  # a part of it was already sent
            return recall_message(found.name, device)
        return ()

    recalls = await run_in_vault(request, cancel_or_recall)
    forget_copy_previews(request, found.draft)
    outcomes = [recall_in_words(one.to, one) for one in recalls]
    return show(request, "undone.html", outcomes=outcomes)
