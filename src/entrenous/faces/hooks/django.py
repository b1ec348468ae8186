"""Django: a validator for file fields, and an upload handler for every form.

In settings.py::

    ENTRENOUS_GATE = {"gate": "http://127.0.0.1:7802", "token_file": "/etc/mysite/operator.token"}

In a model or a form::

    picture = models.ImageField(validators=[GateValidator()])

or, for every upload, as the first of ``FILE_UPLOAD_HANDLERS``::

    "entrenous.faces.hooks.django.GateUploadHandler"

A file that is held because it fits a claim passes, for a form has no place where it could wait; the
gate lists it as published. Who has such a place says so.

So that :class:`GateValidator` knows whose a file is, behind what authenticates in ``MIDDLEWARE``::

    "entrenous.faces.hooks.django.with_account"
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation, ValidationError
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.utils.deconstruct import deconstructible
from django.utils.decorators import sync_and_async_middleware

from entrenous.adapters.gate_client.account import account_of
from entrenous.adapters.gate_client.answer import Answer, Said, Why
from entrenous.adapters.gate_client.client import GateClient, told_unasked
from entrenous.adapters.gate_client.setting import read_setting
from entrenous.faces.hooks.replies import error_for, words
from entrenous.model.setting import BadSetting

NAME: Final = "ENTRENOUS_GATE"
#: Where the upload handler leaves its answers: ``request.entrenous``, by the name of the field.
ON_REQUEST: Final = "entrenous"
_ASKED: Final = ContextVar[Any]("entrenous_request", default=None)


@cache
def gate_client() -> GateClient:
    """The client of this process, as settings.py describes it; raises BadSetting."""
    given = getattr(settings, NAME, None)
    if given is None:
        raise BadSetting(name=NAME, wanted="set in settings.py, as docs/gate.md shows")
    return GateClient(read_setting(given))


@sync_and_async_middleware  # type: ignore[untyped-decorator]
def with_account(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Middleware: lets validators know whose request they are asked in."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: Any) -> Any:
            token = _ASKED.set(request)
            try:
                answer: Awaitable[Any] = get_response(request)
                return await answer
            finally:
                _ASKED.reset(token)

        return answer_later

    def answer(request: Any) -> Any:
        token = _ASKED.set(request)
        try:
            return get_response(request)
        finally:
            _ASKED.reset(token)

    return answer


@deconstructible
class GateValidator:
    """Refuses a file that the gate refuses, and one that nobody could look at.

    ``on_hold``: "publish" lets a file that is held for a claim pass as any other, and the gate
    lists it as published; "mark" lets whatever is held pass with the answer as ``file.entrenous``
    (of a model: until it is saved), and the view must keep it back.

    Raises:
        BadSetting: ``on_hold`` is something else.
    """

    def __init__(self, on_hold: str = "publish") -> None:
        if on_hold not in ("publish", "mark"):
            raise BadSetting(name="on_hold", wanted='"publish" or "mark"')
        self.on_hold = on_hold

    def __call__(self, file: Any) -> None:
        """Raises ValidationError, code "stopped" or "held"."""
        file.seek(0)
        account, publishes = _account(_ASKED.get()), self.on_hold == "publish"
        answer = gate_client().ask(file.chunks(), account=account, publishes_held=publishes)
        file.seek(0)
        file.entrenous = answer
        error = error_for(answer, gate_client().setting.appeal_url)
        if answer.acts is Said.REFUSE:
            raise ValidationError(words(error), code="stopped")
        if answer.acts is Said.HOLD and self.on_hold != "mark":
            raise ValidationError(words(error), code="held")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GateValidator) and self.on_hold == other.on_hold

    def __hash__(self) -> int:
        return hash(self.on_hold)


def _account(request: Any) -> str:
    """The key of who is signed in, else where the request comes from: where nobody is, or where
    that would be asked of a database out of an event loop.
    """
    try:
        key = getattr(getattr(request, "user", None), "pk", None)
    except SynchronousOnlyOperation:
        key = None
    address = getattr(request, "META", {}).get("REMOTE_ADDR", "")
    return account_of("" if key is None else str(key), address)


class GateUploadHandler(FileUploadHandler):  # type: ignore[misc]
    """Asks about each file as soon as it is there; one that is not accepted never reaches the view.
    One that is held for a claim does as any other, and the gate lists it as published.

    The file is kept in memory until then, up to the hook's limit; larger ones are held. The answers
    are ``request.entrenous``, by the name of the field. Where one was not accepted the form ends,
    and the view finds the answer and no file.
    """

    on_hold = "publish"

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file begins."""
        super().new_file(*args, **kwargs)
        self._held: bytearray | None = bytearray()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Keep a piece, and hand it on."""
        del start
        if self._held is not None:
            self._held += raw_data
            if len(self._held) > gate_client().setting.upload_bytes_max:
                self._held = None
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Ask. Raises StopUpload for a file that is not accepted."""
        del file_size
        answer = self._answer()
        answers: dict[str, list[Answer]] = self.request.__dict__.setdefault(ON_REQUEST, {})
        answers.setdefault(str(self.field_name), []).append(answer)
        is_held = answer.acts is Said.HOLD and self.on_hold != "mark"
        if is_held or answer.acts is Said.REFUSE:
            raise StopUpload(connection_reset=False)

    def _answer(self) -> Answer:
        data, self._held = self._held, None
        if data is None:
            return told_unasked(Why.TOO_LARGE, gate_client().setting)
        account, publishes = _account(self.request), self.on_hold == "publish"
        return gate_client().ask(bytes(data), account=account, publishes_held=publishes)


class MarkingUploadHandler(GateUploadHandler):
    """As its parent, but a held file reaches the view, which must keep it back."""

    on_hold = "mark"
