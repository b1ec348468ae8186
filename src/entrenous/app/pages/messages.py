"""Messages: notices, the inbox, the outbox, a conversation, reactions and recalls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.web import (
    AppState,
    ConfirmationQuestion,
    ResultGone,
    error_words,
    has_confirmed,
    language_of,
    redirect_to,
    run_in_vault,
    show,
    show_confirmation_page,
    state_of,
)
from entrenous.app.wording import without_commands
from entrenous.base.errors import Unreachable
from entrenous.base.identifiers import MessageName, PersonId
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.sent_messages import RecallResult
from entrenous.send.conversations import other_recipients_in_words
from entrenous.send.inbox import remove_received_message
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.react import react
from entrenous.send.open import stored_frame
from entrenous.send.people.notices import dismiss_notice, unread_notices
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.status import MessageInOutbox, messages_in_outbox
from entrenous.send.timeline import (
    Correspondent,
    TimelinePage,
    correspondents,
    hide_sent_message,
    timeline_page,
)

_REACTION_EMOJI: Final = ("❤️", "👍", "😂", "😮", "😢")
_ENTRIES_PER_PAGE: Final = 40  # number of entries of a conversation on one page
_INBOX_PEOPLE_SHOWN_MAX: Final = 100
_KIND_BY_FILE_ROLE: Final = {
    FileRole.PICTURE: "picture",
    FileRole.CLIP: "clip",
    FileRole.VOICE: "voice",
}


@dataclass(frozen=True, slots=True)
class InboxPageContents:
    """The content of the inbox page: correspondents, the names of people, unsent messages, and
    notices with their handles.
    """

    people: tuple[Correspondent, ...]
    names: Mapping[PersonId, str]
    unsent: tuple[MessageInOutbox, ...]
    notices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ConversationPageContents:
    """A page of a conversation. ``kinds`` maps the name of a message to the kinds of its stored
    files.
    """

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
    """List the people with whom messages were exchanged, sorted by their newest message, the newest
    first.
    """
    state = state_of(request)

    def read_inbox(device: Device) -> InboxPageContents:
        return InboxPageContents(
            correspondents(device),
            _names_of_people(device),
            messages_in_outbox(device),
            undismissed_notices(state, device),
        )

    found = await run_in_vault(request, read_inbox)
    problem, others = state.mail.problem, state.mail.other_relay_problems
    if problem is not None and not isinstance(problem, Unreachable):
        others = (problem, *others)
    return show(
        request,
        "inbox.html",
        found=found,
        people=[
            (_handle_of_person(request, one.person), one)
            for one in found.people[:_INBOX_PEOPLE_SHOWN_MAX]
        ],
        is_silent=isinstance(problem, Unreachable),
        others=[error_words(why) for why in others],
    )


def undismissed_notices(state: AppState, device: Device) -> tuple[tuple[str, str], ...]:
    """Return the handles and words of the notices that were not dismissed."""
    return tuple(
        (state.login.handle_for("notice", one.id), without_commands(one.words))
        for one in unread_notices(device)
    )


async def dismiss_shown_notice(request: Request) -> Response:
    """Dismiss a notice that was read, and go back to the page that showed it."""
    page = typed_text(await read_form(request), "page")
    named = state_of(request).login.name_of_handle("notice", request.path_params["notice"])
    if named is not None:
        await run_in_vault(request, lambda device: dismiss_notice(named, device))
    return redirect_to(request, "inbox" if page == "inbox" else "home")


async def show_conversation(request: Request) -> Response:
    """Show the messages exchanged with one person, oldest first."""
    person, skip = _find_person(request), int(request.path_params.get("skip", 0))
    state = state_of(request)

    def read_conversation(device: Device) -> ConversationPageContents:
        page = timeline_page(person, device, skip, _ENTRIES_PER_PAGE)
        kinds = {
            one.name: _kinds_of_files(one.name, state, device)
            for one in page.entries
            if one.can_show
        }
        return ConversationPageContents(_names_of_people(device).get(person, ""), page, kinds)

    found = await run_in_vault(request, read_conversation)
    entries = found.page.entries
    return show(
        request,
        "conversation.html",
        name=found.name,
        person=request.path_params["person"],
        entries=[(state.login.handle_for("message", one.name), one) for one in entries],
        texts={one.name: one.text for one in entries if one.text},
        kinds=found.kinds,
        older=found.page.older,
        skip=skip,
        step=_ENTRIES_PER_PAGE,
        also={one.name: other_recipients_in_words(one.also) for one in entries if one.also},
        signs=_REACTION_EMOJI,
    )


def _kinds_of_files(name: MessageName, state: AppState, device: Device) -> tuple[str, ...]:
    """Return the kind of each stored file of a message: picture, clip or voice."""
    found = state.page_files.kinds_by_message.get(name)
    if found is None:
        found = tuple(_KIND_BY_FILE_ROLE[one.role] for one in stored_frame(name, device).files)
        state.page_files.kinds_by_message[name] = found
    return found


async def act_on_message(request: Request) -> Response:
    """React to a message, recall it, or hide it on this device. An action that cannot be undone
    needs confirmation.
    """
    form = await read_form(request)
    question = _confirmation_question(request, typed_text(form, "do"))
    if question is not None and not has_confirmed(form):
        return show_confirmation_page(request, form, question)
    name, what, sign = find_message_name(request), typed_text(form, "do"), typed_text(form, "sign")
    handle = typed_text(form, "person")
    person = state_of(request).login.name_of_handle("person", handle) or ""

    def apply_action(device: Device) -> tuple[RecallResult, ...]:
        match what:
            case "recall":
                return recall_message(name, device)
            case "remove":
                remove_received_message(name, device)
            case "hide":
                hide_sent_message(name, PersonId(bytes.fromhex(person)), device)
            case _:
                react(name, sign or None, device)
        return ()

    recalls = await run_in_vault(request, apply_action)
    state_of(request).page_files.forget_files_of(name)
    if recalls:
        outcomes = [recall_in_words(one.to, one) for one in recalls]
        return show(request, "recalled.html", outcomes=outcomes, person=handle)
    return redirect_to(request, "conversation", person=handle)


def _confirmation_question(request: Request, what: str) -> ConfirmationQuestion | None:
    """Return the question to ask before this action, or None if it needs no confirmation."""
    say = language_of(request).sentences.gettext
    if what == "recall":
        unopened = say("Whoever has not opened it yet cannot open it any more.")
        opened = say(
            "If somebody has opened it, their app is asked to delete it. What they saved "
            "elsewhere, such as a screenshot, stays."
        )
        heading, yes, no = say("Take it back for everyone?"), say("Take it back"), say("Leave it")
        return ConfirmationQuestion(heading, (unopened, opened), yes, no)
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
    return ConfirmationQuestion(heading, (hidden[what],), yes, no)


def find_message_name(request: Request) -> str:
    """Return the name of the message whose handle is in the address; raises ResultGone."""
    name = state_of(request).login.name_of_handle("message", request.path_params["message"])
    if name is None:
        raise ResultGone
    return name


def _find_person(request: Request) -> PersonId:
    named = state_of(request).login.name_of_handle("person", request.path_params["person"])
    if named is None:
        raise ResultGone
    return PersonId(bytes.fromhex(named))


def _handle_of_person(request: Request, person: PersonId) -> str:
    return state_of(request).login.handle_for("person", person.hex())


def _names_of_people(device: Device) -> dict[PersonId, str]:
    return {one.person.id: one.name for one in contacts(device)}
