"""The questions about what happened, one on each page. All but the questions about age and consent
can be skipped, and the person can always stop.

Two paths use the questions: the path to the legal routes, which needs no vault, and the path to a
case. Until a case is opened, the answers are kept in memory only. About somebody under 18, nothing
is stored.
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.pages.case_answers import (
    open_case_from_answers,
    role_from_answers,
    situation_from_answers,
    web_address_or_empty,
)
from entrenous.app.pages.case_routes import show_plan
from entrenous.app.pages.help_lines import (
    emergency_numbers_nearby,
    first_help_lines_nearby,
    parse_typed_place,
    places_from_answers,
    present_first_steps,
    suggest_places,
)
from entrenous.app.vault_session import VaultLocked
from entrenous.app.web import error_words, redirect_to, run_in_vault, show, state_of, take_kept_form
from entrenous.app.wording import without_commands
from entrenous.base.environment import SystemClock
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translatable, translated
from entrenous.respond.first_steps import FirstStepsId, safety_questions, shipped_first_steps
from entrenous.respond.law.plan import make_plan
from entrenous.respond.nouns import RepresentativeRole
from entrenous.respond.open_case import representative_with_consent
from entrenous.respond.platforms import PLATFORM_KIND_NAMES, PlatformKind, find_platform, host_of
from entrenous.respond.safety import STOPPED_NOTE
from entrenous.respond.situation import Demand, PictureMaker, Spread

#: The number that stands for a question in its page's address. The name is not used there, since a
#: browser's history shows addresses.
QUESTION_NUMBERS: Final = {
    "safe": 1,
    "watched": 2,
    "age": 3,
    "posted": 4,
    "place": 5,
    "consent": 6,
    "where": 7,
    "platform": 8,
    "intimate": 9,
    "altered": 10,
    "maker": 11,
    "sender": 12,
    "demand": 13,
}
_QUESTION_NAME_BY_NUMBER: Final = {number: name for name, number in QUESTION_NUMBERS.items()}
_CASE_QUESTIONS: Final = ("safe", "watched", "age", "posted", "place", "consent", "where")
_LEGAL_QUESTIONS: Final = (
    *("age", "posted", "demand", "place", "platform"),
    *("intimate", "altered", "maker", "sender"),
)
_YES_NO_ANSWERS: Final = frozenset({"yes", "no"})
_ALLOWED_ANSWERS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("safe", "watched", "intimate", "altered", "sender"), _YES_NO_ANSWERS),
    "age": frozenset({"yes", "no", "unsure"}),
    "posted": frozenset(Spread),
    "maker": frozenset(PictureMaker) - {PictureMaker.UNSAID},
    "demand": frozenset(Demand),
}
_QUESTIONS_IN_SAFETY_TABLE: Final = frozenset({"safe", "watched", "age", "posted"})
#: Answers about the person's own safety, which stay for another matter of the same person.
_LASTING_ANSWERS: Final = frozenset({"place", "safe", "watched", "posted"})
_CASE_PATH, _LEGAL_PATH = "case", "legal"


def routes() -> list[Route]:
    return [
        Route("/72", go_to_legal_questions, name="legal"),
        Route("/72/{number:int}", ask_legal_question, name="legal_question", methods=["GET"]),
        Route("/72/{number:int}", store_legal_answer, methods=["POST"]),
        Route("/73", show_legal_routes, name="legal_routes"),
        Route("/81", begin_case_questions, name="begin_case", methods=["POST"]),
        Route("/81/{number:int}", ask_case_question, name="case_question", methods=["GET"]),
        Route("/81/{number:int}", store_case_answer, methods=["POST"]),
        Route("/82/{number:int}", show_first_steps, name="first", methods=["GET"]),
        Route("/82/{number:int}", store_country, methods=["POST"]),
        Route("/82", delete_answers, name="stop", methods=["POST"]),
    ]


async def go_to_legal_questions(request: Request) -> Response:
    """Go on to the first unanswered question, or to the routes."""
    return _go_to_next_question(request, _LEGAL_PATH, "")


async def ask_legal_question(request: Request) -> Response:
    return _show_question(request, _LEGAL_PATH)


async def store_legal_answer(request: Request) -> Response:
    return await _store_answer_and_go_on(request, _LEGAL_PATH)


async def ask_case_question(request: Request) -> Response:
    return _show_question(request, _CASE_PATH)


async def store_case_answer(request: Request) -> Response:
    return await _store_answer_and_go_on(request, _CASE_PATH)


async def begin_case_questions(request: Request) -> Response:
    """Begin the questions that lead to a case; a page with a verdict passes the trace's number.

    Earlier answers are kept only if the page says that the case is about the same matter.
    """
    form, answers = await read_form(request), state_of(request).login.answers
    if typed_text(form, "other_matter"):
        lasting = {"place"} if typed_text(form, "for") == "other" else _LASTING_ANSWERS
        for name in answers.keys() - lasting:
            del answers[name]
    answers.update({name: typed_text(form, name) for name in ("trace", "for")})
    return _go_to_next_question(request, _CASE_PATH, "")


async def delete_answers(request: Request) -> Response:
    """Delete the answers, and confirm that nothing was stored."""
    state_of(request).login.forget_answers_and_forms()
    return show(request, "stopped.html", words=without_commands(translated(STOPPED_NOTE)))


async def store_country(request: Request) -> Response:
    """Store the country, and show its emergency numbers."""
    form = await read_form(request)
    place, words = await parse_typed_place(typed_text(form, "guess") or typed_text(form, "place"))
    if place:
        state_of(request).login.answers["place"] = place
    return await show_first_steps(request, words, typed_text(form, "place"))


async def show_first_steps(request: Request, words: str = "", tried: str = "") -> Response:
    """Show what to do first if the person is in danger, is being watched, or is threatened."""
    name = _question_name(request)
    answers, now = state_of(request).login.answers, SystemClock().now()
    ids = {"safe": (FirstStepsId.DANGER,), "watched": (FirstStepsId.WATCHED,)}
    steps = ids.get(name, (FirstStepsId.THREAT, FirstStepsId.DEMAND))
    return show(
        request,
        "first.html",
        status=409 if words else 200,
        words=words,
        tried=tried,
        asks_place=name == "safe" and not places_from_answers(answers),
        guesses=suggest_places(request, words),
        name=name,
        steps=[present_first_steps(shipped_first_steps(one), now.date()) for one in steps],
        emergency=emergency_numbers_nearby(request, now.date()) if name == "safe" else (),
        lines=first_help_lines_nearby(request, now) if name == "safe" else (),
        onward=request.app.url_path_for(
            "case_question", number=_number_of_next_question(name, answers)
        ),
    )


async def show_legal_routes(request: Request) -> Response:
    """Show the legal steps that fit the answers, with the first one prominent."""
    answers = state_of(request).login.answers
    if answers.get("age") != "yes":
        return redirect_to(request, "legal_question", number=QUESTION_NUMBERS["age"])
    today = SystemClock().now().date()
    plan = make_plan(situation_from_answers(answers), today, today)
    asked = _questions_of_path(_LEGAL_PATH, answers)
    unasked = [one for one in asked if answers.get(one, "skip") == "skip"]
    more = QUESTION_NUMBERS[unasked[0]] if unasked else None
    return show_plan(request, plan, more=more)


def _show_question(
    request: Request, way: str, words: str = "", form: FormData | None = None
) -> Response:
    name, login = _question_name(request), state_of(request).login
    answers = login.answers
    asked = _questions_of_path(way, answers)
    if name not in asked:
        return redirect_to(request, way if way == _LEGAL_PATH else "cases")
    before = asked[: asked.index(name)]
    question = safety_questions()[name] if name in _QUESTIONS_IN_SAFETY_TABLE else None
    if form is None:  # input from before the app was locked is shown again after unlocking
        form = FormData() if login.has_hidden_answers else take_kept_form(request)
    return show(
        request,
        "what_happened.html",
        status=409 if words else 200,
        words=words,
        name=name,
        question=question,
        answer=answers.get(name, ""),
        answers=answers,
        form=form,
        way=way,
        back=QUESTION_NUMBERS[before[-1]] if before else None,
        guesses=suggest_places(request, words) if name == "place" else (),
        roles=tuple(RepresentativeRole),
        kinds=PLATFORM_KIND_NAMES,
        step=len(before) + 1,
        steps=len(asked),
    )


async def _store_answer_and_go_on(request: Request, way: str) -> Response:
    name, login = _question_name(request), state_of(request).login
    form, answers = await read_form(request), login.answers
    opens_case = way == _CASE_PATH and name == _CASE_QUESTIONS[-1]
    if opens_case and login.has_hidden_answers:
        # earlier answers, which are hidden while the app is locked, belong to this case too
        raise VaultLocked
    if name == "age" and typed_text(form, "answer") in ("no", "unsure"):
        return redirect_to(request, "under_18")
    words = await _store_answer(name, form, answers)
    if words:
        return _show_question(request, way, words, form)
    if way == _CASE_PATH and _leads_to_first_steps(name, answers):
        return redirect_to(request, "first", number=QUESTION_NUMBERS[name])
    if opens_case:
        return await _open_case(request, form)
    return _go_to_next_question(request, way, name)


async def _open_case(request: Request, form: FormData) -> Response:
    """Open the case, which stores the answers. Then forget all answers in memory but the place."""
    login = state_of(request).login
    answers = dict(login.answers)
    if answers.get("age") != "yes":
        return redirect_to(request, "case_question", number=QUESTION_NUMBERS["age"])
    try:
        case = await run_in_vault(request, lambda device: open_case_from_answers(answers, device))
    except EntrenousError as why:
        if why.family == "refused" and not state_of(request).vault.is_open:
            raise  # the vault is locked
        return _show_question(request, _CASE_PATH, error_words(why), form)
    login.forget_answers()
    login.answers["place"] = answers.get("place", "")
    return redirect_to(request, "case", case=login.lasting_handle_for("case", case.name))


async def _store_answer(name: str, form: FormData, answers: dict[str, str]) -> str:
    """Store an answer. Return "", or why the answer is not valid."""
    if typed_text(form, "skip"):
        answers[name] = "skip"
        return ""
    if name in _ALLOWED_ANSWERS:
        given = typed_text(form, "answer")
        answers[name] = given if given in _ALLOWED_ANSWERS[name] else "skip"
        return ""
    return await _STORE_BY_QUESTION[name](form, answers)


async def _store_place(form: FormData, answers: dict[str, str]) -> str:
    place, words = await parse_typed_place(typed_text(form, "guess") or typed_text(form, "place"))
    answers["place"] = place or "skip"
    return words


async def _store_platform(form: FormData, answers: dict[str, str]) -> str:
    where, kind = typed_text(form, "platform"), typed_text(form, "kind")
    record = find_platform(where) if where else None
    answers["platform"] = record.id if record else where or kind or "skip"
    answers["kind"] = "" if record or kind not in set(PlatformKind) else kind
    if where and record is None and not (host_of(where) and "." in where) and not kind:
        return translated(_NO_SUCH_PLATFORM_MESSAGE)
    return ""


async def _store_consent(form: FormData, answers: dict[str, str]) -> str:
    answers["role"], answers["consent"] = typed_text(form, "role"), typed_text(form, "consent")
    try:
        representative_with_consent(
            role_from_answers(answers), answers["consent"], SystemClock().now()
        )
    except EntrenousError as why:
        return error_words(why)
    return ""


async def _store_where_seen(form: FormData, answers: dict[str, str]) -> str:
    where = typed_text(form, "where")
    public = answers.get("posted") not in (Spread.GROUP, Spread.PRIVATE, Spread.THREAT)
    address = web_address_or_empty(where) if where and public else where
    answers["where"], answers["account"] = address or "skip", typed_text(form, "account")
    answers["told_platform"] = typed_text(form, "told_platform")
    return translated(_NO_WEB_ADDRESS_MESSAGE) if where and not address else ""


_STORE_BY_QUESTION: Final = {
    "place": _store_place,
    "platform": _store_platform,
    "consent": _store_consent,
    "where": _store_where_seen,
}
_NO_WEB_ADDRESS_MESSAGE: Final = translatable(
    "This is no web address. Copy it from the top of the browser: it begins with https. If it is in"
    " a chat, or if you do not have it, skip this."
)
_NO_SUCH_PLATFORM_MESSAGE: Final = translatable(
    "There is no record of this one here. Give its web address, or choose what kind it is."
)


def _leads_to_first_steps(name: str, answers: dict[str, str]) -> bool:
    said = (name, answers.get(name))
    return said in (("safe", "no"), ("watched", "yes"), ("posted", Spread.THREAT))


def _questions_of_path(way: str, answers: dict[str, str]) -> list[str]:
    """Return the questions of this path, in order; some are asked only after certain answers."""
    posted = answers.get("posted")
    left_out = set()
    if answers.get("for") != "other":
        left_out.add("consent")
    if posted != Spread.THREAT:
        left_out.add("demand")
    else:
        left_out.add("altered")
    return [
        name
        for name in (_CASE_QUESTIONS if way == _CASE_PATH else _LEGAL_QUESTIONS)
        if name not in left_out
    ]


def _go_to_next_question(request: Request, way: str, name: str) -> Response:
    """Show the first unanswered question after the question ``name``, or the end of the path."""
    answers = state_of(request).login.answers
    asked = _questions_of_path(way, answers)
    rest = asked[asked.index(name) + 1 :] if name in asked else asked
    open_ = [one for one in rest if not answers.get(one) or one == "where"]
    if open_:
        page = "legal_question" if way == _LEGAL_PATH else "case_question"
        return redirect_to(request, page, number=QUESTION_NUMBERS[open_[0]])
    return redirect_to(request, "legal_routes" if way == _LEGAL_PATH else "cases")


def _number_of_next_question(name: str, answers: dict[str, str]) -> int:
    asked = _questions_of_path(_CASE_PATH, answers)
    rest = asked[asked.index(name) + 1 :]
    return QUESTION_NUMBERS[next((one for one in rest if not answers.get(one)), rest[-1])]


def _question_name(request: Request) -> str:
    return _QUESTION_NAME_BY_NUMBER.get(request.path_params["number"], "")
