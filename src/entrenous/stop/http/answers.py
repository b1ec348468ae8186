"""Render the gate's answers as JSON, and errors as problem documents (docs/spec/gate.md, 6).

Also here: run work after an answer was sent.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import anyio.to_thread
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from entrenous.base.audio_video import FramesTooLarge, NoSoundFound
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import ClaimId
from entrenous.base.picture import NotAPicture, TooManyPixels
from entrenous.fingerprint.nouns import Match
from entrenous.stop.http.access import (
    GateAccess,
    TokenRole,
    TooManyUploads,
    WrongToken,
    is_operator,
)
from entrenous.stop.http.request_body import NotMedia, TooLarge, TooSlow
from entrenous.stop.nouns import BankUnreachable, GateBusy
from entrenous.stop.registration import ClaimFacts, Stance
from entrenous.stop.upload_record import Decision, Outcome, Review
from entrenous.wire.encodings import to_base64url
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, status_of, write_problem

PRIVATE_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def decision_json(role: TokenRole, decision: Decision, appeal_url: str) -> dict[str, Any]:
    """Render a decision; only the operator sees outcome and matches.

    An uploader learns only whether the upload was refused: a quarantined one is answered like one
    that was let through. docs/spec/gate.md, section 6, says what this hides and what it does not.
    """
    answer: dict[str, Any] = {"schema": "entrenous/decision/1", "case": decision.case}
    if decision.secret is not None:
        answer["secret"] = to_base64url(decision.secret.reveal())
    if role is TokenRole.OPERATOR:
        shadow = {} if decision.would is None else {"shadow": decision.would}
        published = {"published": True} if decision.listed else {}
        return (
            answer
            | shadow
            | published
            | {
                "decision": decision.outcome,
                "matches": [match_json(match) for match in decision.matches],
            }
        )
    refused = decision.outcome is Outcome.REFUSE
    seen = Outcome.REFUSE if refused else Outcome.LET_THROUGH
    return answer | {"decision": seen, "matches": [], "appeal": _appeal_text(appeal_url, refused)}


def match_json(match: Match) -> dict[str, Any]:
    """Render a match: the bank, the distance in bits, and how the upload was derived from the
    registered picture.
    """
    return {"bank": match.bank, "distance": match.distance, "how": match.how}


def review_json(review: Review, facts: Mapping[ClaimId, ClaimFacts]) -> dict[str, Any]:
    """Render a judged upload with the facts for a decision; its bytes have their own address."""
    return {
        "schema": "entrenous/review/1",
        "case": review.case,
        "state": review.state,
        "at": review.at.isoformat(),
        "decision": review.decision.outcome,
        "matches": [_review_match_json(match, facts) for match in review.decision.matches],
        "found": review.found,
        "reference": review.reference,
        "gathered": review.gathered,
        "view": f"/v1/reviews/{review.case}/view" if review.has_bytes else None,
        "upload": f"/v1/reviews/{review.case}/upload" if review.has_bytes else None,
        "first_confirmer": review.first_confirmer or None,
    }


def _review_match_json(match: Match, facts: Mapping[ClaimId, ClaimFacts]) -> dict[str, Any]:
    """Return the match with the claim's id, state, reason and partners' opinions."""
    document = match_json(match) | {"claim": match.claim}
    if match.claim not in facts:
        return document
    claim_facts = facts[match.claim]
    reason = {"reason": claim_facts.claim.reason} if claim_facts.claim.reason else {}
    opinions = {stance: claim_facts.opinions.get(stance, 0) for stance in Stance}
    return document | {"state": claim_facts.claim.state} | reason | {"opinions": opinions}


def appeal_json(case: str) -> dict[str, Any]:
    """Return the answer to an appeal: the same whether the upload was refused, quarantined or let
    through.
    """
    return {"schema": "entrenous/appeal/1", "case": case, "state": "waiting"}


def _appeal_text(url: str, refused: bool) -> str:  # noqa: FBT001 (private; its caller names it)
    where = f" here: {url}" if url else ""
    if refused:
        return (
            "This upload was not accepted, because somebody asked for it to be stopped. If you "
            f"think that is a mistake, ask for a person to look at it{where}, and give the case "
            "number."
        )
    return (
        "This upload was received. If it does not appear, you can ask for a person to look at "
        f"it{where}, and give the case number."
    )


_STATUS_BY_ERROR: Final[Mapping[type[EntrenousError], int]] = {
    WrongToken: 401,
    TooSlow: 408,
    TooLarge: 413,
    TooManyPixels: 413,
    FramesTooLarge: 413,
    NotMedia: 415,
    NotAPicture: 415,
    NoSoundFound: 415,
    GateBusy: 429,
    TooManyUploads: 429,
}
_RETRY_AFTER_S: Final = 5
_LOG: Final = logging.getLogger("entrenous.gate")


class GateFault(EntrenousError):
    """
    The gate had an internal error, and may not have done what you asked. It published nothing. Try
    again later.
    """


def make_error_handler(access: GateAccess) -> Callable[[Request, Exception], Response]:
    """Return a handler that answers an error with its own message.

    Details of database errors are shown only to the operator.
    """

    def answer_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, EntrenousError)  # noqa: S101 (registered for this class only)
        if isinstance(error, BankUnreachable) and not is_operator(request, access):
            return _problem_response(BankUnreachable(why="it is busy or stopped"))
        return _problem_response(error)

    return answer_error


def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer the framework's errors, such as an unknown address or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class only)
    title = HTTPStatus(error.status_code).phrase
    body = {"type": "about:blank", "title": title, "status": error.status_code}
    content = msgspec.json.encode(body)
    headers = PRIVATE_HEADERS | dict(error.headers or {})
    return Response(content, error.status_code, headers, media_type=PROBLEM_MEDIA_TYPE)


def on_disconnect(_request: Request, _error: Exception) -> Response:
    """Answer a client that disconnected while it was sending; nobody will read the answer."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def on_bug(_request: Request, error: Exception) -> Response:
    """Log a bug, and answer without describing it."""
    log_bug(error)
    return _problem_response(GateFault())


def log_bug(error: Exception) -> None:
    """Log the error's class and the functions and lines in its traceback, never values."""
    frames = traceback.extract_tb(error.__traceback__)
    path = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    log_fields = {"event": "bug", "kind": type(error).__name__, "at": path}
    _LOG.error("bug: %(kind)s at %(at)s", log_fields, extra={"said": log_fields})


def _problem_response(error: EntrenousError) -> Response:
    status = status_of(type(error), _STATUS_BY_ERROR)
    body = write_problem(error, status)
    return Response(
        body,
        status,
        PRIVATE_HEADERS | _problem_headers(status, error),
        media_type=PROBLEM_MEDIA_TYPE,
    )


def _problem_headers(status: int, error: EntrenousError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status in {429, 503}:
        return {"Retry-After": str(error.facts.get("retry_after_s", _RETRY_AFTER_S))}
    return {}


async def run_after_answer(
    work: Callable[..., object], *args: object, limiter: anyio.CapacityLimiter | None = None
) -> object:
    """Run ``work`` in a thread, after the answer was sent.

    Long work gets its own ``limiter``, so that requests keep their threads. After a failure
    the result is None, and only the error's class is logged, since its message may mention people.
    """
    try:
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=limiter)
    except EntrenousError as why:
        log_fields = {"event": "afterwards", "kind": type(why).__name__}
        _LOG.error("after an answer: %(kind)s", log_fields, extra={"said": log_fields})
        return None
