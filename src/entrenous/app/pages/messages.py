"""Messages: who wrote, a conversation, opening, seeing once, reacting, and taking back."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.files import shown_file
from entrenous.app.forms import read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.web import (
    ResultGone,
    go_to,
    in_vault,
    language_of,
    result_of,
    show,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.identifiers import MessageName, PersonId
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.sent_messages import Recall, UnknownMessage
from entrenous.send.http.view_once import open_into
from entrenous.send.http.view_pages import ViewSession
from entrenous.send.inbox import find_received, remove_received
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.react import react
from entrenous.send.message.transfer_progress import Stage, TransferWatch
from entrenous.send.open import download_message, open_message
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.timeline import Entry, timeline

_SIGNS = ("❤️", "👍", "😂", "😮", "😢")
_SHOWN = 40  # entries of a conversation on one page


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened message: the person it came from, to go back to her page."""

    name: str
    person: str


@dataclass(frozen=True, slots=True)
class SeenOnce:
    """A message that is shown once, in memory until it was left."""

    name: str
    person: str
    look: ViewSession


class ShownAlready(Refused):
    """This was shown already. What opens once is not kept, so it cannot be shown again."""


def routes() -> list[Route]:
    return [
        Route("/40", inbox, name="inbox"),
        Route("/41/{person}", conversation, name="conversation"),
        Route("/42/{message}", open_it, name="open", methods=["POST"]),
        Route("/42/{handle}/back", opened, name="opened"),
        Route("/43/{message}/{number:int}", file, name="file"),
        Route("/44/{message}", see_once, name="see_once", methods=["POST"]),
        Route("/45/{handle}", seen, name="seen", methods=["GET"]),
        Route("/45/{handle}", show_once, methods=["POST"]),
        Route("/45/{handle}/{number:int}", seen_file, name="seen_file"),
        Route("/45/{handle}/end", end_seen, name="end_seen", methods=["POST"]),
        Route("/46/{message}", answer, name="answer", methods=["POST"]),
    ]


async def inbox(request: Request) -> Response:
    """List everybody that something went to or came from, the newest first."""

    def read(device: Device) -> list[tuple[str, str, Entry, int]]:
        names = _names(device)
        last, waiting = dict[PersonId, Entry](), defaultdict[PersonId, int](int)
        for entry in timeline(device):
            last[entry.person] = entry
            waiting[entry.person] += entry.waiting
        newest = sorted(last.values(), key=lambda entry: entry.at, reverse=True)
        return [
            (
                _handle_of(request, one.person),
                names.get(one.person, ""),
                one,
                waiting[one.person],
            )
            for one in newest
        ]

    people = await in_vault(request, read)
    problem = state_of(request).mail.problem
    return show(request, "inbox.html", people=people, problem=problem)


async def conversation(request: Request) -> Response:
    """Show what went to and fro with one person, oldest first."""
    person = _person(request)

    def read(device: Device) -> tuple[str, tuple[Entry, ...], dict[MessageName, list[str]], int]:
        entries = timeline(device, person)
        names = _names(device)
        shown = entries[-_SHOWN:]
        kinds = {one.name: _kinds(one, device) for one in shown if one.can_show}
        return names.get(person, ""), shown, kinds, len(entries) - len(shown)

    name, entries, kinds, older = await in_vault(request, read)
    login = state_of(request).login
    return show(
        request,
        "conversation.html",
        name=name,
        person=request.path_params["person"],
        entries=[(login.handle("message", one.name), one) for one in entries],
        kinds=kinds,
        older=older,
        signs=_SIGNS,
    )


def _kinds(entry: Entry, device: Device) -> list[str]:
    """Return the kind of each file of a message that is kept here: picture, clip or voice."""
    roles = (one.role for one in open_message(entry.name, device).files)
    words = {FileRole.PICTURE: "picture", FileRole.CLIP: "clip", FileRole.VOICE: "voice"}
    return [words[role] for role in roles]


async def open_it(request: Request) -> Response:
    """Open a message: the relay is asked for its half of the key."""
    name, say = _message(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def work(device: Device, report: Report) -> Opened:
        received = find_received(name, device)
        download_message(name, device, TransferWatch(_step(report)))
        open_message(name, device)
        return Opened(name, login.handle("person", received.sender.hex()))

    return start_job(request, say("Opening it"), work, "opened")


async def opened(request: Request) -> Response:
    return go_to(request, "conversation", person=result_of(request, Opened).person)


async def file(request: Request) -> Response:
    """Show one file of an opened message, from the vault."""
    name, number = _message(request), int(request.path_params["number"])
    files = await in_vault(request, lambda device: open_message(name, device).files)
    if not 0 < number <= len(files):
        raise UnknownMessage(name=name)
    return shown_file(request, files[number - 1].data, files[number - 1].media_type)


async def see_once(request: Request) -> Response:
    """Fetch a message that opens once; nothing of it is opened yet."""
    name, say = _message(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def work(device: Device, report: Report) -> SeenOnce:
        received = find_received(name, device)
        download_message(name, device, TransferWatch(_step(report)))
        person = login.handle("person", received.sender.hex())
        return SeenOnce(name, person, ViewSession(received.sender_name))

    return start_job(request, say("Fetching it"), work, "seen")


async def seen(request: Request) -> Response:
    return show(request, "see_once.html", once=_once(request), handle=_handle(request), shown=None)


async def show_once(request: Request) -> Response:
    """Open it and show it: it counts once the page has loaded all of it."""
    once = _once(request)
    if not once.look.ask():
        raise ShownAlready
    opening = state_of(request).vault.run(partial(open_into, once.name, once.look))
    state_of(request).vault.call_at_lock(once.look.end)
    opening.add_done_callback(lambda done: _end_if_failed(once.look, done))
    shown = await asyncio.wrap_future(once.look.answer)
    return show(request, "see_once.html", once=once, handle=_handle(request), shown=shown)


def _end_if_failed(look: ViewSession, opening: Future[None]) -> None:
    why = opening.exception()
    if why is not None:
        look.fail(why if isinstance(why, EntrenousError) else ShownAlready())


async def seen_file(request: Request) -> Response:
    found = _once(request).look.file(int(request.path_params["number"]) - 1)
    if found is None:
        raise ShownAlready
    return shown_file(request, found.data, found.media_type)


async def end_seen(request: Request) -> Response:
    once = _once(request)
    once.look.end()
    return go_to(request, "conversation", person=once.person)


async def answer(request: Request) -> Response:
    """React, take back, or remove from this device."""
    form = await read_form(request)
    name, what, sign = _message(request), typed(form, "do"), typed(form, "sign")

    def act(device: Device) -> tuple[Recall, ...]:
        match what:
            case "recall":
                return recall_message(name, device)
            case "remove":
                remove_received(name, device)
            case _:
                react(name, sign or None, device)
        return ()

    recalls = await in_vault(request, act)
    person = typed(form, "person")
    if recalls:
        outcomes = [recall_in_words(one.to, one) for one in recalls]
        return show(request, "recalled.html", outcomes=outcomes, person=person)
    return go_to(request, "conversation", person=person)


def _step(report: Report) -> Callable[[Stage, int, int], None]:
    return lambda stage, done, total: report(stage.value, done, total)


def _handle(request: Request) -> str:
    return str(request.path_params["handle"])


def _once(request: Request) -> SeenOnce:
    return result_of(request, SeenOnce)


def _message(request: Request) -> str:
    name = state_of(request).login.named("message", request.path_params["message"])
    if name is None:
        raise ResultGone
    return name


def _person(request: Request) -> PersonId:
    named = state_of(request).login.named("person", request.path_params["person"])
    if named is None:
        raise ResultGone
    return PersonId(bytes.fromhex(named))


def _handle_of(request: Request, person: PersonId) -> str:
    return state_of(request).login.handle("person", person.hex())


def _names(device: Device) -> dict[PersonId, str]:
    return {one.person.id: one.name for one in contacts(device)}
