"""Write a message: its content, its recipients and its duration. It is stored as a draft."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text, typed_texts
from entrenous.app.pages.review import DRAFT_PREVIEW_SIDE_PX_MAX, beginning_of_answered_message
from entrenous.app.web import (
    error_words,
    posted_or_kept_form,
    redirect_to,
    run_in_vault,
    show,
    state_of,
)
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS
from entrenous.device.device import Device
from entrenous.device.identities import contacts, has_relay
from entrenous.send.message.draft import NoSuchDraft, StoredDraft, find_draft, store_draft
from entrenous.send.people.circles import circles

_EARLIEST_TIME: Final = datetime.min.replace(tzinfo=UTC)


class NothingWritten(Refused):
    """There is nothing to send yet. Choose a picture, a clip or a recording, or write something."""


class NoRecipientChosen(Refused):
    """You have not chosen anybody, so nothing was sent. Choose who gets this message."""


@dataclass(frozen=True, slots=True)
class ComposeFormContents:
    """The possible recipients (people and circles), the draft being changed, the recipients chosen
    so far (``to``), and the beginning of the message being answered (``answers``).
    """

    people: tuple[str, ...]
    circles: tuple[str, ...]
    draft: StoredDraft | None = None
    to: tuple[str, ...] = ()
    answers: str = ""


def routes() -> list[Route]:
    return [
        Route("/10", show_compose_form, name="send", methods=["GET"]),
        Route("/10", store_draft_for_review, methods=["POST"]),
    ]


async def show_compose_form(
    request: Request, words: str = "", status: int = 200, draft: str = ""
) -> Response:
    """Show the form: empty, with the input before an error, or with the draft to change. Without a
    relay, the page that makes copies takes its place.
    """
    if not await run_in_vault(request, has_relay):
        return redirect_to(request, "copies")
    form = posted_or_kept_form(request)  # not before the vault was open: a kept form is given once
    draft = draft or typed_text(form, "draft") or request.query_params.get("draft", "")
    choices = await run_in_vault(
        request, lambda device: _read_compose_form_contents(request, form, draft, device)
    )
    kept = None if form else choices.draft  # what is typed replaces the draft, even if it is empty
    return show(
        request,
        "send.html",
        status=status,
        words=words,
        choices=choices,
        draft=draft if choices.draft else "",
        reply=typed_text(form, "reply") or request.query_params.get("reply", ""),
        chosen={*typed_texts(form, "to"), *choices.to},
        text=kept.text if kept else typed_text(form, "text"),
        days=kept.days if kept else typed_text(form, "days") or DEFAULT_EXPIRY_DAYS,
        once=kept.once if kept else bool(typed_text(form, "once")),
        files_not_kept=typed_text(form, "files_not_kept"),
        may_export=kept.may_export if kept else bool(typed_text(form, "may_export")),
    )


def _read_compose_form_contents(
    request: Request, form: FormData, handle: str, device: Device
) -> ComposeFormContents:
    login, asked = state_of(request).login, request.query_params
    known = {one.person.id.hex(): one.name for one in contacts(device) if not one.blocked}
    draft = None
    with suppress(NoSuchDraft):  # it was sent or discarded meanwhile; what was typed is shown
        draft = _find_draft_of_handle(request, handle, device)
    reply = (
        login.name_of_handle("message", typed_text(form, "reply") or asked.get("reply", "")) or ""
    )
    person = login.name_of_handle("person", asked.get("with", "")) or ""
    to = (known[person],) if person in known else ()
    return ComposeFormContents(
        tuple(known.values()),
        tuple(one.name for one in circles(device.vault)),
        draft,
        draft.to if draft and not form else to,
        beginning_of_answered_message(reply or (draft.reply if draft else ""), device),
    )


def _find_draft_of_handle(request: Request, handle: str, device: Device) -> StoredDraft:
    """Return the draft that a form names; raises NoSuchDraft."""
    named = state_of(request).login.name_of_handle("draft", handle) or ""
    return find_draft(bytes.fromhex(named), device)


async def store_draft_for_review(request: Request) -> Response:
    """Store the draft in the vault, and show it for review before it is sent.

    Small versions of its files are made first, for the review, so that an unreadable file is
    refused at once.
    """
    form = await read_form(request)
    chosen = await chosen_files(form, "file")
    login = state_of(request).login

    def store_written_draft(device: Device) -> StoredDraft:
        handle = typed_text(form, "draft")
        before = (
            _find_draft_of_handle(request, handle, device)
            if handle
            else StoredDraft(b"", _EARLIEST_TIME)
        )
        has_files = bool(chosen or before.files)
        written = _draft_from_form(form, before, device.clock.now(), has_files=has_files)
        reply = login.name_of_handle("message", typed_text(form, "reply"))
        written = replace(
            written,
            reply=reply or before.reply,
            names=(*before.names, *(one.name for one in chosen)),
        )
        return store_draft(written, tuple([one.data for one in chosen]), device)

    page_files = state_of(request).page_files
    try:
        # raises if the vault is locked, so that nothing is decoded then
        await run_in_vault(request, lambda _: None)
        small = [
            await asyncio.to_thread(page_files.make_preview, one.data, DRAFT_PREVIEW_SIDE_PX_MAX)
            for one in chosen
        ]
        draft = await run_in_vault(request, store_written_draft)
    except EntrenousError as why:
        return await show_compose_form(request, error_words(why), 409)
    for blob, made in zip(draft.files[len(draft.files) - len(small) :], small, strict=True):
        page_files.keep(("draft", blob.hex(), 0), made)
    handle = login.handle_for("draft", draft.id.hex())
    if not draft.to:  # the files are kept, since a browser cannot choose them again
        return await show_compose_form(request, str(NoRecipientChosen()), 409, handle)
    return redirect_to(request, "review", draft=handle)


def _draft_from_form(
    form: FormData, before: StoredDraft, at: datetime, *, has_files: bool
) -> StoredDraft:
    text, to = typed_text(form, "text"), tuple(typed_texts(form, "to"))
    if not has_files and not text:
        raise NothingWritten
    days, once = typed_text(form, "days"), bool(typed_text(form, "once"))
    return replace(
        before,
        written_at=at,
        text=text,
        to=to,
        days=max(1, min(30, int(days))) if days.isdecimal() else DEFAULT_EXPIRY_DAYS,
        once=once,
        may_export=once and bool(typed_text(form, "may_export")),
    )
