"""Questions before something is deleted or done for good. The person is asked once, on a separate
page that says what will happen.
"""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from entrenous.app.forms import typed
from entrenous.app.web import show, state_of


@dataclass(frozen=True, slots=True)
class Question:
    """A question, what happens after a yes, and the labels of both buttons."""

    heading: str
    said: tuple[str, ...]
    yes: str
    no: str


def is_sure(form: FormData) -> bool:
    """Return whether this form comes from the page that asked, where the person said yes."""
    return typed(form, "sure") == "yes"


def ask(request: Request, form: FormData, question: Question) -> Response:
    """Show a page that asks. Its yes button posts the same form again; the other leads back to the
    page that was shown last.
    """
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    back = state_of(request).shown
    return show(request, "ask.html", question=question, fields=fields, back=back)
