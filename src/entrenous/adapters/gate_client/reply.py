"""From what a gate replies to an answer: strictly, and to "hold" whenever it is in doubt."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from entrenous.adapters.gate_client.answer import Answer, Said, Why

#: Bytes that a reply may have; one takes some hundred.
REPLY_BYTES_MAX: Final = 64 * 1024
#: And a review, with every claim that an upload fits.
STATE_BYTES_MAX: Final = 4 * 1024 * 1024
_STATES: Final = ("waiting", "confirmed", "released", "closed")
_CASE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_SCHEMA: Final = "entrenous/decision/1"
_OF_ONE_ACCOUNT: Final = "urn:entrenous:unreachable:too-many-uploads"
_HOUR_S: Final = 3600
_WHY: Final[Mapping[int, Why]] = {
    HTTPStatus.UNAUTHORIZED: Why.WRONG_TOKEN,
    HTTPStatus.FORBIDDEN: Why.WRONG_TOKEN,
    HTTPStatus.REQUEST_TIMEOUT: Why.SLOW,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Why.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Why.OTHER_MEDIA,
}


def held(why: Why) -> Answer:
    """What becomes of an upload that nobody has looked at."""
    return Answer(Said.HOLD, why)


def read_reply(status: int, untrusted_body: bytes) -> Answer:
    """What the gate says of an upload. Never raises: what is not understood is held."""
    if status == HTTPStatus.OK:
        return _decision(untrusted_body)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return held(Why.AWAY)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _busy(untrusted_body)
    return held(_WHY.get(status, Why.MALFORMED))


def read_state(status: int, untrusted_body: bytes) -> str:
    """How a case stands; empty for anything else. Never raises."""
    state = _document(untrusted_body).get("state") if status == HTTPStatus.OK else None
    return state if isinstance(state, str) and state in _STATES else ""


def _busy(untrusted_body: bytes) -> Answer:
    """Nothing is wrong with a gate whose limit for one account is reached."""
    document = _document(untrusted_body)
    facts = document.get("facts")
    if document.get("type") != _OF_ONE_ACCOUNT or not isinstance(facts, dict):
        return held(Why.BUSY)
    wait_s = facts.get("retry_after_s")
    again_s = wait_s if type(wait_s) is int and 0 < wait_s <= _HOUR_S else _HOUR_S
    return Answer(Said.HOLD, Why.ACCOUNT, again_s=again_s)


def _decision(untrusted_body: bytes) -> Answer:
    """The decision of an operator's reply.

    To an uploader's token a held upload is answered in the same words as one that passed, with the
    way to appeal beside them. A hook must not take those words for the gate's.
    """
    document = _document(untrusted_body)
    case, said = document.get("case"), document.get("decision")
    if document.get("schema") != _SCHEMA or said not in tuple(Said):
        return held(Why.MALFORMED)
    if not isinstance(case, str) or _CASE.fullmatch(case) is None:
        return held(Why.MALFORMED)
    if said == Said.LET_THROUGH and "appeal" in document:
        return held(Why.WRONG_TOKEN)
    would, secret = document.get("shadow"), document.get("secret", "")
    if would not in (None, *Said) or not isinstance(secret, str) or not _is_secret(secret):
        return held(Why.MALFORMED)
    would = None if would is None else Said(would)
    listed = document.get("published") is True
    return Answer(Said(said), Why.GATE, case, would=would, secret=secret, listed=listed)


def _is_secret(text: str) -> bool:
    """Base64url, or empty: older gates give none."""
    return _SECRET.fullmatch(text) is not None


def _document(untrusted_body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(untrusted_body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
