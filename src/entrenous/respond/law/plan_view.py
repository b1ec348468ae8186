"""A plan as one JSON object, or as lines for people. docs/spec/routes.md section 2 is the JSON."""

from collections.abc import Iterator
from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.law.plan import HandOver, Plan, PlanStep

NOT_ADVICE: Final = translatable(
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
        "hand_over": None if plan.hand_over is None else _hand_over(plan.hand_over),
    }


def _hand_over(hand_over: HandOver) -> dict[str, object]:
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


def plan_text(plan: Plan, *, in_full: bool = False) -> Iterator[str]:
    """Yield a plan line by line: the first steps as they are, the later ones by name.

    ``in_full``: every step, and what was looked at in vain.
    """
    yield translated(NOT_ADVICE)
    if plan.hand_over is not None:
        yield plan.hand_over.why
        for line in plan.hand_over.contacts:
            yield "  " + ", ".join(filter(None, [line.name, line.phone, line.hours, line.web]))
    for number, step in enumerate(plan.steps, start=1):
        if in_full or number <= _SHOWN:
            yield from _step(number, step)
        else:
            yield f"{number}. {step.title} [{step.route}]"
    if in_full and plan.refused:
        yield translated("Looked at, and not for this:")
        yield from (f"  {one.route}: {one.why}" for one in plan.refused)
    if not in_full and (len(plan.steps) > _SHOWN or plan.refused):
        yield translated("To see every step, and what was looked at and does not fit, add --all.")


_SHOWN: Final = 3


def _step(number: int, step: PlanStep) -> Iterator[str]:
    yield f"{number}. {step.title} [{step.route}]"
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
