"""Settings of a server that asks its gate, and the gate's answers (docs/spec/gate.md, 6)."""

import base64
import hmac
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from entrenous.base.environment import BadSetting, is_loopback
from entrenous.base.limits import GATE_UPLOAD_BYTES_MAX
from entrenous.base.secret import Secret

TOKEN_VARIABLE: Final = "ENTRENOUS_GATE_TOKEN"  # noqa: S105 -- the name of a variable, not a token
_TOKEN_PATTERN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{1,200}")  # RFC 6750, section 2.1
_HOLD_OR_PASS: Final = ("hold", "pass")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of a hook: the plug-in of a server that asks the gate about each upload.

    Args:
        gate: the gate's address: https, or http to this machine.
        token: the operator's token. With the uploader's token, the gate would not say what is
            quarantined.
        budget_s: an upload that gets no answer within this many seconds is held.
        upload_bytes_max: larger uploads are held without asking.
        other_media: what to do with media (pictures, video or sound) of a kind that the gate cannot
            read: "hold" or "pass". The default is "hold", since nobody has checked them.
        other_files: the same choice for documents, archives, ciphertext and everything else that is
            not media. The default is "pass", since a gate cannot judge them.
        shadow: ask the gate and log its answers, but let every upload through.
        appeal_url: where a person whose upload was refused can appeal.
        ca_file: a PEM file of certificate authorities, instead of the public ones.

    Raises:
        BadSetting: a value is invalid.
    """

    gate: str
    token: Secret
    budget_s: float = 5.0
    upload_bytes_max: int = GATE_UPLOAD_BYTES_MAX
    other_media: str = "hold"
    other_files: str = "pass"
    shadow: bool = False
    appeal_url: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        refuse_invalid_setting_url("gate", self.gate)
        for name in ("budget_s", "upload_bytes_max"):
            _require_setting(name, _is_positive(getattr(self, name)), "a number above 0")
        for name in ("other_media", "other_files"):
            _require_setting(name, getattr(self, name) in _HOLD_OR_PASS, '"hold" or "pass"')
        _require_setting("shadow", _has_type(self.shadow, bool), "true or false")
        for name in ("appeal_url", "ca_file"):
            _require_setting(name, _has_type(getattr(self, name), str), "a text")
        is_token = _TOKEN_PATTERN.fullmatch(self.token.reveal()) is not None
        _require_setting("token", is_token, "the text in the gate's file operator.token")


_SETTING_NAMES: Final = frozenset(one.name for one in fields(ClientSettings)) - {"token"} | {
    "token_file"
}


def read_client_settings(
    given: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> ClientSettings:
    """Read settings from a mapping with the names of :class:`ClientSettings`.

    The mapping does not contain the token: ``token_file`` names a file that contains it, or the
    environment variable ENTRENOUS_GATE_TOKEN does.

    Raises:
        BadSetting: a name is unknown or missing, or the file cannot be read.
    """
    if not isinstance(given, Mapping):
        raise BadSetting(
            name="for the hook", wanted="a mapping of names to values, as in docs/gate.md"
        )
    for name in given:
        if name not in _SETTING_NAMES:
            wanted = "left out: there is no setting of this name"
            raise BadSetting(name=str(name)[:40], wanted=wanted)
    if not isinstance(given.get("gate"), str):
        raise BadSetting(name="gate", wanted="the gate's address, such as http://127.0.0.1:7802")
    rest = {name: value for name, value in given.items() if name != "token_file"}
    return ClientSettings(token=_read_token(given.get("token_file"), environ), **rest)


def _read_token(file: object, environ: Mapping[str, str]) -> Secret:
    if file is None:
        if TOKEN_VARIABLE not in environ:
            wanted = f"the path of the gate's operator.token, unless {TOKEN_VARIABLE} is set"
            raise BadSetting(name="token_file", wanted=wanted)
        return Secret(environ[TOKEN_VARIABLE].strip().encode())
    try:
        return Secret(Path(str(file)).read_bytes()[:1000].strip())
    except (OSError, ValueError):
        wanted = "the path of a file that this server can read"
        raise BadSetting(name="token_file", wanted=wanted) from None


def _require_setting(name: str, is_valid: bool, wanted: str) -> None:  # noqa: FBT001 -- private, one use
    if not is_valid:
        raise BadSetting(name=name, wanted=wanted)


def _has_type(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < cast("float", value) < float("inf")


def refuse_invalid_setting_url(name: str, url: str) -> None:
    """Raise BadSetting for an invalid web address, or one that uses http to another machine."""
    try:
        address = urlsplit(url)
        # Reading the port raises ValueError if it is not valid.
        host, _ = address.hostname, address.port
    except ValueError:
        host, address = None, urlsplit("")
    near = address.scheme == "http" and host is not None and is_loopback(host)
    if (
        not host
        or not (near or address.scheme == "https")
        or address.query
        or "@" in address.netloc
    ):
        wanted = "an address that begins with https://, or http:// and leads to this machine"
        raise BadSetting(name=name, wanted=wanted)


ACCOUNT_HEADER: Final = "Entrenous-Account"
_ACCOUNT_HASH_BYTES: Final = 16
_HOUSEHOLD_PREFIX_BITS: Final = 64  # bits of an IPv6 address that all devices of a household share


def account_of_user_or_network(name: str | None, address: object) -> str:
    """Return the account for an upload: the user's ``name`` if signed in, else the network of the
    ``address``.

    Return "" if neither is known, as behind a proxy that does not forward the address.
    """
    if name:
        return name
    try:
        ip_address = ipaddress.ip_address(str(address))
    except ValueError:
        return ""
    ip_address = getattr(ip_address, "ipv4_mapped", None) or ip_address
    if not ip_address.is_global:  # the address of the platform's own proxy, which all users share
        return ""
    bits = ip_address.max_prefixlen if ip_address.version == 4 else _HOUSEHOLD_PREFIX_BITS
    return f"network\0{ipaddress.ip_network((ip_address, bits), strict=False)}"


def account_header(account: str, token: Secret) -> dict[str, str]:
    """Return the header that names the account by its hash, or no header if it is unknown."""
    if not account:
        return {}
    hashed = b"entrenous/1 account\0" + account.encode(errors="surrogateescape")
    name = hmac.digest(token.reveal(), hashed, "sha256")[:_ACCOUNT_HASH_BYTES]
    return {ACCOUNT_HEADER: base64.urlsafe_b64encode(name).rstrip(b"=").decode()}


class GateVerdict(StrEnum):
    """The gate's decision on an upload."""

    LET_THROUGH = "let through"
    HOLD = "hold"
    REFUSE = "refuse"


class GateReason(StrEnum):
    """Why an upload got its verdict. Except for GATE, the hook decided because the gate did not."""

    GATE = "gate"  # the gate judged it
    AWAY = "gate away"  # no connection, or an error of the gate
    BUSY = "gate busy"  # 429: too many uploads at once for the gate or the hook
    ACCOUNT = "too many of one account"  # 429: the account's limit per hour is reached
    SLOW = "gate slow"  # no answer within the budget of time
    MALFORMED = "answer not understood"
    WRONG_TOKEN = "wrong token"  # noqa: S105 -- unknown, or an uploader's, which hides decisions
    TOO_LARGE = "too large"  # above the limit of the hook or of the gate
    OTHER_MEDIA = "not a picture"  # a picture, video or sound of a kind that the gate can't read
    OTHER_FILE = "not media"  # by its first bytes: a document, an archive, ciphertext
    UNREADABLE = "not readable"  # a form that could be parsed in different ways
    TOO_MANY = "too many files"  # in one request, more files than the hook asks about


_VERDICTS_BY_STRICTNESS: Final = (GateVerdict.LET_THROUGH, GateVerdict.HOLD, GateVerdict.REFUSE)
#: Reasons that mean that something does not work, so that the operator should look at it.
FAILURE_REASONS: Final = frozenset(
    (
        GateReason.AWAY,
        GateReason.BUSY,
        GateReason.SLOW,
        GateReason.MALFORMED,
        GateReason.WRONG_TOKEN,
    ),
)


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """The answer for one upload.

    ``case`` is the gate's case number for the upload, if any; ``secret`` is what the uploader needs
    to appeal. ``would`` is what the gate would have decided if no bank were in shadow mode, where
    that is stricter than ``verdict``. With ``shadow``, the hook only asks and logs: apply
    :attr:`action`, not ``verdict``. ``listed``: the platform publishes the upload anyway, and the
    gate has listed it as published. ``also`` has the cases of the request's other uploads.
    ``retry_after_s`` is the number of seconds until the gate accepts uploads of this account again.
    """

    verdict: GateVerdict
    reason: GateReason = GateReason.GATE
    case: str = ""
    shadow: bool = False
    would: GateVerdict | None = None
    secret: str = field(default="", repr=False)
    retry_after_s: int | None = None
    listed: bool = False
    also: tuple[str, ...] = ()

    @property
    def action(self) -> GateVerdict:
        """Return the action to take: the verdict, except that everything passes in shadow mode, and
        that held uploads pass if they are listed as published.
        """
        passes = self.shadow or (self.listed and self.verdict is GateVerdict.HOLD)
        return GateVerdict.LET_THROUGH if passes else self.verdict


def strictest_answer(answers: Iterable[GateAnswer]) -> GateAnswer | None:
    """Return the strictest answer for a request with several uploads; None if there are no
    answers.

    The cases of the other uploads are in ``also``.
    """
    every = tuple(answers)
    if not every:
        return None
    which = max(range(len(every)), key=lambda at: _strictness(every[at]))
    also = tuple(one.case for at, one in enumerate(every) if at != which and one.case)
    return replace(every[which], also=also) if also else every[which]


def _strictness(answer: GateAnswer) -> tuple[int, int]:
    """Return the sort key of an answer, higher for stricter answers."""
    return _VERDICTS_BY_STRICTNESS.index(answer.action), _VERDICTS_BY_STRICTNESS.index(
        answer.verdict
    )


DECISION_REPLY_BYTES_MAX: Final = 64 * 1024  # a reply needs a few hundred bytes
REVIEW_REPLY_BYTES_MAX: Final = 4 * 1024 * 1024  # a review has every claim that the upload matches
_REVIEW_STATES: Final = ("waiting", "confirmed", "released", "closed")
_CASE_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_APPEAL_SECRET_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_DECISION_SCHEMA: Final = "entrenous/decision/1"
_TOO_MANY_UPLOADS_URN: Final = "urn:entrenous:unreachable:too-many-uploads"
_HOUR_S: Final = 3600
_REASON_BY_STATUS: Final[Mapping[int, GateReason]] = {
    HTTPStatus.UNAUTHORIZED: GateReason.WRONG_TOKEN,
    HTTPStatus.FORBIDDEN: GateReason.WRONG_TOKEN,
    HTTPStatus.REQUEST_TIMEOUT: GateReason.SLOW,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: GateReason.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: GateReason.OTHER_MEDIA,
}


def held_answer(why: GateReason) -> GateAnswer:
    """Return the answer that holds an upload that was not judged."""
    return GateAnswer(GateVerdict.HOLD, why)


def parse_decision_reply(status: int, untrusted_body: bytes) -> GateAnswer:
    """Parse the gate's reply. This never raises: if the reply is malformed, the upload is held."""
    if status == HTTPStatus.OK:
        return _parse_decision(untrusted_body)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return held_answer(GateReason.AWAY)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _parse_busy_reply(untrusted_body)
    return held_answer(_REASON_BY_STATUS.get(status, GateReason.MALFORMED))


def parse_review_state(status: int, untrusted_body: bytes) -> str:
    """Parse the state of a case; return "" if the answer is anything else. This never raises."""
    state = _parse_json_object(untrusted_body).get("state") if status == HTTPStatus.OK else None
    return state if isinstance(state, str) and state in _REVIEW_STATES else ""


def _parse_busy_reply(untrusted_body: bytes) -> GateAnswer:
    """Parse a reply with status 429: the account's limit is reached, or the gate is busy."""
    document = _parse_json_object(untrusted_body)
    facts = document.get("facts")
    if document.get("type") != _TOO_MANY_UPLOADS_URN or not isinstance(facts, dict):
        return held_answer(GateReason.BUSY)
    wait_s = facts.get("retry_after_s")
    retry_after_s = wait_s if type(wait_s) is int and 0 < wait_s <= _HOUR_S else _HOUR_S
    return GateAnswer(GateVerdict.HOLD, GateReason.ACCOUNT, retry_after_s=retry_after_s)


def _parse_decision(untrusted_body: bytes) -> GateAnswer:
    """Parse the reply to a request with the operator's token.

    With an uploader's token, the reply for a quarantined upload looks like that for one that
    passed, with an "appeal" beside it. Such a reply is not accepted as a decision.
    """
    document = _parse_json_object(untrusted_body)
    case, decision = document.get("case"), document.get("decision")
    if document.get("schema") != _DECISION_SCHEMA or decision not in tuple(GateVerdict):
        return held_answer(GateReason.MALFORMED)
    if not isinstance(case, str) or _CASE_PATTERN.fullmatch(case) is None:
        return held_answer(GateReason.MALFORMED)
    if decision == GateVerdict.LET_THROUGH and "appeal" in document:
        return held_answer(GateReason.WRONG_TOKEN)
    would, secret = document.get("shadow"), document.get("secret", "")
    if (
        would not in (None, *GateVerdict)
        or not isinstance(secret, str)
        or not _is_valid_secret(secret)
    ):
        return held_answer(GateReason.MALFORMED)
    would = None if would is None else GateVerdict(would)
    listed = document.get("published") is True
    return GateAnswer(
        GateVerdict(decision), GateReason.GATE, case, would=would, secret=secret, listed=listed
    )


def _is_valid_secret(text: str) -> bool:
    """Return whether this is a secret in base64url. It may be empty: a gate need not send one."""
    return _APPEAL_SECRET_PATTERN.fullmatch(text) is not None


def _parse_json_object(untrusted_body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(untrusted_body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
