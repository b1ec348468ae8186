"""What an uploader is told instead of the application's answer: what to do next, no details."""

import json
from dataclasses import dataclass, replace
from typing import Final

from entrenous.adapters.gate_client.answer import Answer, Said, Why
from entrenous.model.errors import EntrenousError, Malformed, Refused, Unreachable

PROBLEM_TYPE: Final = "application/problem+json"  # RFC 9457
_RETRY_S: Final = 30


class StoppedUpload(Refused):
    """
    This upload was not accepted, because somebody asked for it to be stopped. If you think that is
    a mistake, ask for a person to look at it{where}, and give the case number {case}.
    """


class HeldUpload(Refused):
    """
    This upload could not be read, so it has to be checked by a person first and was not accepted
    yet. Nothing was published. Save it anew and send that, or ask the people who run this
    site{where}, and give the case number {case}.
    """


class UncheckedUpload(Unreachable):
    """
    This upload could not be checked just now, so it was not accepted. Nothing was published. Try
    again in a minute.
    """


class ManyUploads(Unreachable):
    """
    As many uploads came from this account as are checked in an hour, so this one was not accepted.
    Nothing was published. Try again in {minutes} minutes, or ask the people who run this
    site{where}.
    """


class UncheckableUpload(Refused):
    """
    Files of this kind can't be checked here, so it was not accepted. Nothing was published. Send a
    picture, as JPEG or PNG, or ask the people who run this site.
    """


class LargeUpload(Refused):
    """
    This upload is larger than what can be checked here, so it was not accepted. Nothing was
    published. Send fewer files at once, or smaller ones.
    """


class OddUpload(Malformed):
    """
    This upload was sent in a form that can't be read with certainty, so it was not accepted.
    Nothing was published. Try again with another browser or app.
    """


class SlowUpload(Refused):
    """
    This upload took too long to arrive, so it was given up. Nothing was published. Try again over
    a better connection, or send a smaller version.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, a media type, a body; ``again_s``: when it may be worth trying again."""

    status: int
    kind: str
    body: bytes
    again_s: int | None = None


_UNASKED: Final[dict[Why, tuple[type[EntrenousError], int]]] = {
    Why.TOO_LARGE: (LargeUpload, 413),
    Why.TOO_MANY: (LargeUpload, 413),
    Why.OTHER_MEDIA: (UncheckableUpload, 415),
    Why.OTHER_FILE: (UncheckableUpload, 415),
    Why.UNREADABLE: (OddUpload, 400),
    Why.ACCOUNT: (ManyUploads, 429),
}


def error_for(answer: Answer, appeal_url: str) -> EntrenousError | None:
    """What the uploader is told of a file that was not accepted; None for one that passes."""
    if answer.acts is Said.LET_THROUGH:
        return None
    facts = {"where": f" here: {appeal_url}" if appeal_url else "", "case": answer.case}
    if answer.acts is Said.REFUSE:
        return StoppedUpload(**facts)
    if answer.case:
        return HeldUpload(**facts)
    kind, _ = _UNASKED.get(answer.why, (UncheckedUpload, 503))
    return kind(**facts, minutes=-(-(answer.again_s or 0) // 60))


def reply_to(answer: Answer, on_hold: str, appeal_url: str) -> Reply | None:
    """What is answered at once; None when the application is to have the request.

    ``on_hold`` is that of :class:`entrenous.faces.hooks.rules.Rules`.
    """
    error = error_for(answer, appeal_url)
    if error is None or (answer.acts is Said.HOLD and on_hold == "header"):
        return None
    status = 422 if answer.case else _UNASKED.get(answer.why, (UncheckedUpload, 503))[1]
    return replace(problem(error, status, **_named(answer)), again_s=_again_s(answer, status))


def _again_s(answer: Answer, status: int) -> int | None:
    return _RETRY_S if status == 503 else answer.again_s


def _named(answer: Answer) -> dict[str, str]:
    """What the uploader needs to appeal."""
    named = {"case": answer.case, "secret": answer.secret}
    return {name: value for name, value in named.items() if value}


def problem(error: EntrenousError, status: int, **more: str) -> Reply:
    """A problem document as every face answers it, with members of its own."""
    name = "".join(f"-{one.lower()}" if one.isupper() else one for one in type(error).__name__)[1:]
    document = {
        "type": f"urn:entrenous:{error.family}:{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": words(error),
        **more,
    }
    return Reply(status, PROBLEM_TYPE, json.dumps(document).encode())


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """The headers that go with it."""
    again = [] if reply.again_s is None else [("Retry-After", str(reply.again_s))]
    length = ("Content-Length", str(len(reply.body)))
    return [("Content-Type", reply.kind), length, ("Cache-Control", "no-store"), *again]


def words(error: EntrenousError | None) -> str:
    """An error's message in one line; nothing for none."""
    return "" if error is None else " ".join(str(error).split())
