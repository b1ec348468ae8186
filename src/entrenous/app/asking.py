"""Questions before something is deleted or cannot be undone: the person is asked once, on a page of
its own that says what happens.
"""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from entrenous.app.forms import typed
from entrenous.app.web import show, state_of


@dataclass(frozen=True, slots=True)
class Question:
    """A question, what happens after a yes, and the words of both buttons."""

    heading: str
    said: tuple[str, ...]
    yes: str
    no: str


def is_sure(form: FormData) -> bool:
    """Return whether this form comes from the page that asked."""
    return typed(form, "sure") == "yes"


def ask(request: Request, form: FormData, question: Question) -> Response:
    """Ask, on a page that posts the same form again; the other button leads back to the page that
    was shown last.
    """
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    back = state_of(request).shown
    return show(request, "ask.html", question=question, fields=fields, back=back)
