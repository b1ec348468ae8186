"""For Django: a validator for file fields, a middleware for the validator, and an upload handler
for every form.
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

from entrenous.base.environment import BadSetting
from entrenous.connectors.upload_rules import error_for_uploader, one_line_message
from entrenous.stop.client.gate_answer import (
    GateAnswer,
    GateReason,
    GateVerdict,
    account_of_user_or_network,
    read_client_settings,
)
from entrenous.stop.client.upload_client import GateClient, hold_without_asking

SETTING_NAME: Final = "ENTRENOUS_GATE"
#: The upload handler stores its answers in ``request.entrenous``, by the name of the field.
REQUEST_ATTRIBUTE: Final = "entrenous"
_CURRENT_REQUEST: Final = ContextVar[Any]("entrenous_request", default=None)


@cache
def gate_client() -> GateClient:
    """Return the gate's client for this process, configured in Django's settings; raises
    BadSetting.
    """
    given = getattr(settings, SETTING_NAME, None)
    if given is None:
        raise BadSetting(name=SETTING_NAME, wanted="set in settings.py, as docs/gate.md shows")
    return GateClient(read_client_settings(given))


@sync_and_async_middleware  # type: ignore[untyped-decorator]
def with_account(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return middleware that tells validators to which request a file belongs, so that they know
    the uploader's account.
    """
    if iscoroutinefunction(get_response):

        async def answer_async(request: Any) -> Any:
            token = _CURRENT_REQUEST.set(request)
            try:
                answer: Awaitable[Any] = get_response(request)
                return await answer
            finally:
                _CURRENT_REQUEST.reset(token)

        return answer_async

    def answer_sync(request: Any) -> Any:
        token = _CURRENT_REQUEST.set(request)
        try:
            return get_response(request)
        finally:
            _CURRENT_REQUEST.reset(token)

    return answer_sync


@deconstructible
class GateValidator:
    """Rejects a file that the gate refuses; the gate's answer is in ``file.entrenous``.

    ``on_hold`` decides about held files. "publish": a file that matches a claim passes, and the
    gate lists it as published; a file that could not be checked is rejected. "mark": every held
    file passes, and the view must withhold it. In a model, ``file.entrenous`` exists only until the
    model is saved.

    Raises:
        BadSetting: ``on_hold`` has any other value.
    """

    def __init__(self, on_hold: str = "publish") -> None:
        if on_hold not in ("publish", "mark"):
            raise BadSetting(name="on_hold", wanted='"publish" or "mark"')
        self.on_hold = on_hold

    def __call__(self, file: Any) -> None:
        """Ask the gate about a file. If the file is rejected, raise ValidationError with the code
        "stopped" or "held".
        """
        file.seek(0)
        account, publishes = _account_of_request(_CURRENT_REQUEST.get()), self.on_hold == "publish"
        answer = gate_client().ask(file.chunks(), account=account, publishes_held=publishes)
        file.seek(0)
        file.entrenous = answer
        error = error_for_uploader(answer, gate_client().setting.appeal_url)
        if answer.action is GateVerdict.REFUSE:
            raise ValidationError(one_line_message(error), code="stopped")
        if answer.action is GateVerdict.HOLD and self.on_hold != "mark":
            raise ValidationError(one_line_message(error), code="held")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GateValidator) and self.on_hold == other.on_hold

    def __hash__(self) -> int:
        return hash(self.on_hold)


def _account_of_request(request: Any) -> str:
    """Return the primary key of the signed-in user, or else the client's network.

    The network is also used if finding the user would need a database query in an event loop.
    """
    try:
        key = getattr(getattr(request, "user", None), "pk", None)
    except SynchronousOnlyOperation:
        key = None
    address = getattr(request, "META", {}).get("REMOTE_ADDR", "")
    return account_of_user_or_network("" if key is None else str(key), address)


class GateUploadHandler(FileUploadHandler):  # type: ignore[misc]
    """Asks the gate about each complete file; a file that is not accepted never reaches the view.

    A file that is held because it matches a claim does reach the view, and the gate lists it as
    published. Files are kept in memory up to the client's setting ``upload_bytes_max``. The gate is
    not asked about a larger file, which is not accepted unless the setting ``shadow`` is on.
    ``request.entrenous`` has the answers by field. After a file that was not accepted, parsing
    ends: the view gets the answer for that file, but neither the file nor what follows it.
    """

    on_hold = "publish"

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._held: bytearray | None = bytearray()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        del start
        if self._held is not None:
            self._held += raw_data
            if len(self._held) > gate_client().setting.upload_bytes_max:
                self._held = None
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Ask the gate. Raises StopUpload for a file that is not accepted."""
        del file_size
        answer = self._ask_gate()
        answers: dict[str, list[GateAnswer]] = self.request.__dict__.setdefault(
            REQUEST_ATTRIBUTE, {}
        )
        answers.setdefault(str(self.field_name), []).append(answer)
        is_held = answer.action is GateVerdict.HOLD and self.on_hold != "mark"
        if is_held or answer.action is GateVerdict.REFUSE:
            raise StopUpload(connection_reset=False)

    def _ask_gate(self) -> GateAnswer:
        data, self._held = self._held, None
        if data is None:
            return hold_without_asking(GateReason.TOO_LARGE, gate_client().setting)
        account, publishes = _account_of_request(self.request), self.on_hold == "publish"
        return gate_client().ask(bytes(data), account=account, publishes_held=publishes)


class MarkingUploadHandler(GateUploadHandler):
    """Like its parent class, but every held file reaches the view, which must withhold it."""

    on_hold = "mark"
