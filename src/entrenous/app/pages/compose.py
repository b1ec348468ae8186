"""Write a message: its content, its recipients and its duration. It is stored as a draft."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import all_typed, chosen_files, read_form, typed
from entrenous.app.pages.review import SMALL_PX, beginning_of_reply
from entrenous.app.web import error_words, go_to, in_vault, kept_form, show, state_of
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS
from entrenous.device.device import Device
from entrenous.device.identities import contacts, has_relay
from entrenous.send.message.draft import StoredDraft, find_draft, store_draft
from entrenous.send.people.circles import circles

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class NothingWritten(Refused):
    """There is nothing to send yet. Choose a picture, a clip or a recording, or write something."""


class NobodyChosen(Refused):
    """You have not chosen anybody, so nothing was sent. Choose who gets this message."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Possible recipients, the draft being changed, and the person or message being answered."""

    people: tuple[str, ...]
    circles: tuple[str, ...]
    draft: StoredDraft | None = None
    to: tuple[str, ...] = ()
    answers: str = ""


def routes() -> list[Route]:
    return [
        Route("/10", show_compose_form, name="send", methods=["GET"]),
        Route("/10", keep_draft, methods=["POST"]),
    ]


async def show_compose_form(
    request: Request, words: str = "", status: int = 200, draft: str = ""
) -> Response:
    """Show the form: empty, with the input before an error, or with the draft to change. Without a
    relay, the page that makes copies takes its place.
    """
    form = getattr(request.state, "form", None) or kept_form(request)
    if not await in_vault(request, has_relay):
        return go_to(request, "copies")
    draft = draft or typed(form, "draft") or request.query_params.get("draft", "")
    choices = await in_vault(request, lambda device: _make_choices(request, form, draft, device))
    kept = choices.draft
    return show(
        request,
        "send.html",
        status=status,
        words=words,
        choices=choices,
        draft=draft,
        reply=typed(form, "reply") or request.query_params.get("reply", ""),
        chosen={*all_typed(form, "to"), *choices.to},
        text=typed(form, "text") or (kept.text if kept else ""),
        days=typed(form, "days") or (kept.days if kept else DEFAULT_EXPIRY_DAYS),
        once=bool(typed(form, "once") or (kept and kept.once)),
        may_export=bool(typed(form, "may_export") or (kept and kept.may_export)),
    )


def _make_choices(request: Request, form: FormData, handle: str, device: Device) -> Choices:
    login, asked = state_of(request).login, request.query_params
    known = {one.person.id.hex(): one.name for one in contacts(device) if not one.blocked}
    named = login.named("draft", handle)
    draft = find_draft(bytes.fromhex(named), device) if named else None
    reply = login.named("message", typed(form, "reply") or asked.get("reply", "")) or ""
    person = login.named("person", asked.get("with", "")) or ""
    to = (known[person],) if person in known else ()
    return Choices(
        tuple(known.values()),
        tuple(one.name for one in circles(device.vault)),
        draft,
        draft.to if draft and not form else to,
        beginning_of_reply(reply or (draft.reply if draft else ""), device),
    )


async def keep_draft(request: Request) -> Response:
    """Store the draft in the vault, and show it for review before it is sent.

    For the review, its files are reduced first, so that an unreadable file is refused at once.
    """
    form = await read_form(request)
    chosen = await chosen_files(form, "file")
    login = state_of(request).login

    def store(device: Device) -> StoredDraft:
        named = login.named("draft", typed(form, "draft"))
        before = find_draft(bytes.fromhex(named), device) if named else StoredDraft(b"", _LONG_AGO)
        has_files = bool(chosen or before.files)
        written = _draft_from_form(form, before, device.clock.now(), has_files=has_files)
        reply = login.named("message", typed(form, "reply"))
        written = replace(
            written,
            reply=reply or before.reply,
            names=(*before.names, *(one.name for one in chosen)),
        )
        return store_draft(written, tuple([one.data for one in chosen]), device)

    slots = state_of(request).slots
    try:
        # raises if the vault is locked, so that nothing is decoded then
        await in_vault(request, lambda _: None)
        small = [await asyncio.to_thread(slots.preview, one.data, SMALL_PX) for one in chosen]
        draft = await in_vault(request, store)
    except EntrenousError as why:
        return await show_compose_form(request, error_words(why), 409)
    for blob, made in zip(draft.files[len(draft.files) - len(small) :], small, strict=True):
        slots.keep(("draft", blob.hex(), 0), made)
    handle = login.handle("draft", draft.id.hex())
    if not draft.to:  # the files are kept, since a browser cannot choose them again
        return await show_compose_form(request, str(NobodyChosen()), 409, handle)
    return go_to(request, "review", draft=handle)


def _draft_from_form(
    form: FormData, before: StoredDraft, at: datetime, *, has_files: bool
) -> StoredDraft:
    text, to = typed(form, "text"), tuple(all_typed(form, "to"))
    if not has_files and not text:
        raise NothingWritten
    days, once = typed(form, "days"), bool(typed(form, "once"))
    return replace(
        before,
        written_at=at,
        text=text,
        to=to,
        days=max(1, min(30, int(days))) if days.isdecimal() else DEFAULT_EXPIRY_DAYS,
        once=once,
        may_export=once and bool(typed(form, "may_export")),
    )
