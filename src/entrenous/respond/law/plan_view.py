"""A plan as one JSON object, or as lines for people. docs/spec/routes.md section 2 defines the
JSON.
"""

from collections.abc import Iterator
from typing import Final

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.respond.law.legal_route import Route
from entrenous.respond.law.places import place_name
from entrenous.respond.law.plan import (
    HELP_LINE_KIND,
    PLAIN_STEP_KIND,
    ChildHelpReferral,
    Plan,
    PlanStep,
)

NOT_ADVICE_NOTE: Final = translatable(
    "Facts with a source, not advice. Every step is your choice; you can stop at any time."
)


def plan_json(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON: schema entrenous/routes/2."""
    return {
        "schema": "entrenous/routes/2",
        "first": plan.first,
        "routes": [
            {
                "route": step.route,
                "kind": str(step.kind),
                "why": step.why,
                "to": step.to,
                "expected": step.expected,
                "verified": step.verified,
            }
            for step in plan.steps
        ],
        "refused": [{"route": one.route, "why": one.why} for one in plan.refused],
        "hand_over": None if plan.hand_over is None else _child_referral_json(plan.hand_over),
    }


def _child_referral_json(hand_over: ChildHelpReferral) -> dict[str, object]:
    return {
        "why": hand_over.why,
        "contacts": [
            {
                "id": line.id,
                "name": line.name,
                "phone": line.phone,
                "web": line.web,
                "hours": line.hours,
                "verified": line.verified,
            }
            for line in hand_over.contacts
        ],
    }


def plan_text(plan: Plan, *, case: str = "", in_full: bool = False) -> Iterator[str]:
    """Yield a plan line by line: the first steps in full, and the later ones by name.

    ``case`` is the name of the plan's case, if any. ``in_full`` adds the details of every step, and
    the routes that do not apply.
    """
    yield translated(NOT_ADVICE_NOTE)
    yield _places_line(plan)
    if plan.hand_over is not None:
        yield plan.hand_over.why
        for line in plan.hand_over.contacts:
            yield "  " + ", ".join(
                filter(None, [line.name, line.translated_phone, translated(line.hours), line.web])
            )
    for number, step in enumerate(plan.steps, start=1):
        if in_full or number <= _STEPS_SHOWN_IN_FULL:
            yield from _step_lines(number, step)
        else:
            yield _step_title(number, step)
    if in_full and plan.refused:
        yield translated("These routes do not apply:")
        yield from (f"  {one.route}: {one.why}" for one in plan.refused)
    if not in_full and (len(plan.steps) > _STEPS_SHOWN_IN_FULL or plan.refused):
        yield translated("To see every step in full, and the routes that do not apply, add --all.")
    if any(_can_be_drafted(step) for step in plan.steps):
        yield translated(_HOW_TO_DRAFT_IN_CASE if case else _HOW_TO_DRAFT_WITHOUT_CASE).format(
            case=case
        )


_STEPS_SHOWN_IN_FULL: Final = 3
_NO_PLACE_TEXT: Final = translatable(
    "No place was named, so this is only what holds everywhere. For more, add --place Germany; in a"
    " case: entrenous case about NAME --place Germany"
)
_HOW_TO_DRAFT_IN_CASE: Final = translatable(
    "To draft the document for a step, use the word in brackets: entrenous case notice "
    "{case} --route WORD"
)
_HOW_TO_DRAFT_WITHOUT_CASE: Final = translatable(
    "In a case, you can draft the document for every step that has a word in brackets: "
    "entrenous case open"
)


def how_to_draft(case: str, route: Route) -> str:
    """Return a sentence with an example command that drafts the document for a route."""
    command = f"entrenous case notice {case} --route {route.id}"
    words = translated("To draft the document for a route, give its name, for example: {command}")
    return words.format(command=command)


def _places_line(plan: Plan) -> str:
    language = language_of_person()
    named = ", ".join(f"{place_name(place, language)} ({place})" for place in plan.places)
    return translated("For: {places}").format(places=named) if named else translated(_NO_PLACE_TEXT)


def _can_be_drafted(step: PlanStep) -> bool:
    """Return whether a document can be drafted for the step; reports to platforms have none."""
    return step.kind not in (PLAIN_STEP_KIND, HELP_LINE_KIND) and not step.route.startswith(
        "platform-"
    )


def _step_title(number: int, step: PlanStep) -> str:
    word = f" [{step.route}]" if _can_be_drafted(step) else ""
    return f"{number}. {step.title}{word}"


def _step_lines(number: int, step: PlanStep) -> Iterator[str]:
    yield _step_title(number, step)
    yield f"   {step.why[:1].upper()}{step.why[1:]}" + ("" if step.why.endswith('"') else ".")
    yield f"   {translated('To: {to}').format(to=step.to)}"
    if step.platform:
        asks = translated("What it asks, in its order: entrenous case platform {platform}")
        yield f"   {asks.format(platform=step.platform)}"
    if step.expected:
        back = translated("What comes back: {expected}")
        yield f"   {back.format(expected=step.expected)}"
    if step.source:
        cited = translated("Source: {source}, read on {read_on}")
        yield f"   {cited.format(source=step.source, read_on=step.read_on)}"
