"""The check-up, with one question on each page, and the lessons with their printable sheets."""

import asyncio
from pathlib import Path

from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.pages.help_lines import present_first_steps
from entrenous.app.web import ResultGone, download_response, show, state_of
from entrenous.app.wording import without_commands
from entrenous.base.environment import SystemClock
from entrenous.learn.check_up import CheckUpInput, CheckUpResult, run_check_up
from entrenous.learn.facts import all_questions
from entrenous.learn.lesson import (
    Lesson,
    all_lessons,
    find_lesson,
    is_right_choice,
    verdict_in_words,
)
from entrenous.learn.markdown import markdown_as_html
from entrenous.learn.picture_places import NoSuchFolder, PicturesFound, find_pictures_with_place
from entrenous.learn.this_machine import inspect_machine
from entrenous.respond.first_steps import FirstStepsId, shipped_first_steps


def routes() -> list[Route]:
    return [
        Route("/100", show_lessons, name="lessons"),
        Route("/101/{lesson}", show_lesson, name="lesson", methods=["GET"]),
        Route("/101/{lesson}", check_lesson_answer, methods=["POST"]),
        Route("/101/{lesson}/{paper}", serve_lesson_sheet, name="lesson_sheet"),
        Route("/102", show_check_up_start, name="check_up", methods=["GET"]),
        Route("/102", continue_check_up, methods=["POST"]),
    ]


async def show_lessons(request: Request) -> Response:
    login = state_of(request).login
    every = [(login.handle_for("lesson", one.name), one) for one in all_lessons()]
    return show(request, "lessons.html", lessons=every)


async def show_lesson(request: Request) -> Response:
    return _show_lesson(request, _find_lesson(request))


async def check_lesson_answer(request: Request) -> Response:
    """Show whether the answer to the lesson's question is right, and why; nothing is stored."""
    found, chosen = _find_lesson(request), typed_text(await read_form(request), "choice")
    number = int(chosen) if chosen.isdigit() else 0
    if not 0 < number <= len(found.question.choices):
        return _show_lesson(request, found)
    verdict = verdict_in_words(found.question, number)
    right = is_right_choice(found.question, number)
    return _show_lesson(request, found, verdict=verdict, right=right, number=number)


def _show_lesson(
    request: Request, found: Lesson, verdict: str = "", number: int = 0, *, right: bool = False
) -> Response:
    return show(
        request,
        "lesson.html",
        lesson=found,
        handle=request.path_params["lesson"],
        text=Markup(markdown_as_html(found.text)),  # noqa: S704 - rendered and escaped by our Markdown
        try_now=without_commands(found.try_now),
        verdict=verdict,
        number=number,
        right=right,
    )


async def serve_lesson_sheet(request: Request) -> Response:
    """Serve the lesson's sheet: one page, A4 or Letter."""
    from entrenous.learn.export import PaperSize, render_lesson_sheet  # noqa: PLC0415 - slow to load

    kind = request.path_params["paper"]
    if kind not in set(PaperSize):
        raise ResultGone
    found, paper = _find_lesson(request), PaperSize(kind)
    data = await asyncio.to_thread(render_lesson_sheet, found, paper)
    return download_response(request, data, f"page-{found.order}-{paper.value}.pdf")


def _find_lesson(request: Request) -> Lesson:
    name = state_of(request).login.name_of_handle("lesson", request.path_params["lesson"])
    if name is None:
        raise ResultGone
    return find_lesson(name)


async def show_check_up_start(request: Request) -> Response:
    return show(request, "check_up.html", count=len(all_questions()))


async def continue_check_up(request: Request) -> Response:
    """Ask the next question, or show the findings. The answers travel in the form, so that neither
    the server nor a file stores them.
    """
    form = await read_form(request)
    at = int(typed_text(form, "at") or 0)
    every = all_questions()
    if typed_text(form, "do") == "stop" or at >= len(every):
        return await _show_check_up_result(request, form)
    return show(
        request,
        "question.html",
        asked=every[at],
        at=at + 1,
        count=len(every),
        given=_read_answers(form),
        folder=typed_text(form, "folder"),
    )


async def _show_check_up_result(request: Request, form: FormData) -> Response:
    folder = typed_text(form, "folder")
    words = ""
    pictures: PicturesFound | None = None
    if folder:
        try:
            pictures = await asyncio.to_thread(find_pictures_with_place, Path(folder))
        except NoSuchFolder as why:
            words = str(why)
    found = await asyncio.to_thread(
        _inspect_and_run_check_up, request, pictures, _read_answers(form)
    )
    steps = (
        [present_first_steps(shipped_first_steps(FirstStepsId.THREAT), SystemClock().now().date())]
        if found.help
        else ()
    )
    return show(
        request, "checked.html", found=found, words=words, count=len(found.advice), steps=steps
    )


def _inspect_and_run_check_up(
    request: Request, pictures: PicturesFound | None, answers: dict[str, str]
) -> CheckUpResult:
    facts = inspect_machine(state_of(request).settings.home)
    return run_check_up(CheckUpInput(facts, SystemClock().now().date(), None, pictures, answers))


def _read_answers(form: FormData) -> dict[str, str]:
    known = {one.id: {answer.key for answer in one.answers} for one in all_questions()}
    given = {name: typed_text(form, name) for name in known}
    return {name: key for name, key in given.items() if key in known[name]}
