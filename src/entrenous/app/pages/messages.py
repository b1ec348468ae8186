"""Messages: notices, the inbox, the outbox, a conversation, reactions and recalls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.asking import Question, ask, is_sure
from entrenous.app.forms import read_form, typed
from entrenous.app.web import (
    AppState,
    ResultGone,
    error_words,
    go_to,
    in_vault,
    language_of,
    show,
    state_of,
)
from entrenous.app.wording import without_commands
from entrenous.base.errors import Unreachable
from entrenous.base.identifiers import MessageName, PersonId
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.sent_messages import RecallResult
from entrenous.send.conversations import other_recipients_in_words
from entrenous.send.inbox import remove_received
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.react import react
from entrenous.send.open import stored_frame
from entrenous.send.people.notices import dismiss_notice, unread_notices
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.status import UnsentMessage, unsent_messages
from entrenous.send.timeline import (
    Correspondent,
    TimelinePage,
    correspondents,
    hide_sent_message,
    timeline_page,
)

_SIGNS: Final = ("❤️", "👍", "😂", "😮", "😢")
_ENTRIES_PER_PAGE: Final = 40  # number of entries of a conversation on one page
_PEOPLE_PER_PAGE: Final = 100  # number of people on one page of the inbox
_KINDS: Final = {FileRole.PICTURE: "picture", FileRole.CLIP: "clip", FileRole.VOICE: "voice"}


@dataclass(frozen=True, slots=True)
class Inbox:
    """The content of the messages page: people, their names, and unsent messages."""

    people: tuple[Correspondent, ...]
    names: Mapping[PersonId, str]
    unsent: tuple[UnsentMessage, ...]
    notices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A page of a conversation; ``kinds`` are those of the files stored here."""

    name: str
    page: TimelinePage
    kinds: Mapping[MessageName, tuple[str, ...]]


def routes() -> list[Route]:
    return [
        Route("/40", show_inbox, name="inbox"),
        Route("/41/{person}", show_conversation, name="conversation"),
        Route("/41/{person}/{skip:int}", show_conversation, name="older"),
        Route("/46/{message}", act_on_message, name="answer", methods=["POST"]),
        Route("/47/{notice}", dismiss_shown_notice, name="dismiss", methods=["POST"]),
    ]


async def show_inbox(request: Request) -> Response:
    """List everybody with whom messages were exchanged, the newest first."""
    state = state_of(request)

    def read(device: Device) -> Inbox:
        return Inbox(
            correspondents(device),
            _names_of_people(device),
            unsent_messages(device),
            current_notices(state, device),
        )

    found = await in_vault(request, read)
    problem, others = state.mail.problem, state.mail.others
    if problem is not None and not isinstance(problem, Unreachable):
        others = (problem, *others)
    return show(
        request,
        "inbox.html",
        found=found,
        people=[
            (_handle_of_person(request, one.person), one) for one in found.people[:_PEOPLE_PER_PAGE]
        ],
        is_silent=isinstance(problem, Unreachable),
        others=[error_words(why) for why in others],
    )


def current_notices(state: AppState, device: Device) -> tuple[tuple[str, str], ...]:
    """Return stand-ins and words of the notices that were not dismissed."""
    return tuple(
        (state.login.handle("notice", one.id), without_commands(one.words))
        for one in unread_notices(device)
    )


async def dismiss_shown_notice(request: Request) -> Response:
    """Dismiss a notice that was read, and go back to the page that showed it."""
    page = typed(await read_form(request), "page")
    named = state_of(request).login.named("notice", request.path_params["notice"])
    if named is not None:
        await in_vault(request, lambda device: dismiss_notice(named, device))
    return go_to(request, "inbox" if page == "inbox" else "home")


async def show_conversation(request: Request) -> Response:
    """Show the messages exchanged with one person, oldest first."""
    person, skip = _find_person(request), int(request.path_params.get("skip", 0))
    state = state_of(request)

    def read(device: Device) -> Conversation:
        page = timeline_page(person, device, skip, _ENTRIES_PER_PAGE)
        kinds = {
            one.name: _kinds_of_files(one.name, state, device)
            for one in page.entries
            if one.can_show
        }
        return Conversation(_names_of_people(device).get(person, ""), page, kinds)

    found = await in_vault(request, read)
    entries = found.page.entries
    return show(
        request,
        "conversation.html",
        name=found.name,
        person=request.path_params["person"],
        entries=[(state.login.handle("message", one.name), one) for one in entries],
        texts={one.name: one.text for one in entries if one.text},
        kinds=found.kinds,
        older=found.page.older,
        skip=skip,
        step=_ENTRIES_PER_PAGE,
        also={one.name: other_recipients_in_words(one.also) for one in entries if one.also},
        signs=_SIGNS,
    )


def _kinds_of_files(name: MessageName, state: AppState, device: Device) -> tuple[str, ...]:
    """Return the kind of each stored file of a message: picture, clip or voice."""
    found = state.slots.kinds.get(name)
    if found is None:
        found = tuple(_KINDS[one.role] for one in stored_frame(name, device).files)
        state.slots.kinds[name] = found
    return found


async def act_on_message(request: Request) -> Response:
    """React, recall, or hide on this device; what cannot be undone is asked about first."""
    form = await read_form(request)
    question = _confirmation_question(request, typed(form, "do"))
    if question is not None and not is_sure(form):
        return ask(request, form, question)
    name, what, sign = find_message_name(request), typed(form, "do"), typed(form, "sign")
    handle = typed(form, "person")
    person = state_of(request).login.named("person", handle) or ""

    def act(device: Device) -> tuple[RecallResult, ...]:
        match what:
            case "recall":
                return recall_message(name, device)
            case "remove":
                remove_received(name, device)
            case "hide":
                hide_sent_message(name, PersonId(bytes.fromhex(person)), device)
            case _:
                react(name, sign or None, device)
        return ()

    recalls = await in_vault(request, act)
    state_of(request).slots.drop(name)
    if recalls:
        outcomes = [recall_in_words(one.to, one) for one in recalls]
        return show(request, "recalled.html", outcomes=outcomes, person=handle)
    return go_to(request, "conversation", person=handle)


def _confirmation_question(request: Request, what: str) -> Question | None:
    """Return what to ask before that is done to a message."""
    say = language_of(request).sentences.gettext
    if what == "recall":
        unopened = say("Whoever has not opened it yet cannot open it any more.")
        opened = say(
            "If somebody has opened it, their app is asked to delete it. What they saved "
            "elsewhere, such as a screenshot, stays."
        )
        heading, yes, no = say("Take it back for everyone?"), say("Take it back"), say("Leave it")
        return Question(heading, (unopened, opened), yes, no)
    hidden = {
        "remove": say("It is deleted on this device, and nobody is told. It cannot come back."),
        "hide": say(
            "It goes from this list and cannot come back. The others keep what they have, and if "
            "their copy leaks, you can still find out whose it is."
        ),
    }
    if what not in hidden:
        return None
    heading, yes, no = say("Hide this message here?"), say("Hide it"), say("Keep it")
    return Question(heading, (hidden[what],), yes, no)


def find_message_name(request: Request) -> str:
    """Return the name of the message for the stand-in in the address; raises ResultGone."""
    name = state_of(request).login.named("message", request.path_params["message"])
    if name is None:
        raise ResultGone
    return name


def _find_person(request: Request) -> PersonId:
    named = state_of(request).login.named("person", request.path_params["person"])
    if named is None:
        raise ResultGone
    return PersonId(bytes.fromhex(named))


def _handle_of_person(request: Request, person: PersonId) -> str:
    return state_of(request).login.handle("person", person.hex())


def _names_of_people(device: Device) -> dict[PersonId, str]:
    return {one.person.id: one.name for one in contacts(device)}
